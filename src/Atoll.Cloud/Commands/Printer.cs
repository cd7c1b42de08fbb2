using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using YamlDotNet.RepresentationModel;

namespace Atoll.Cloud.Commands;

/// <summary>Prints a result as a table for people, or as JSON or YAML for programs.</summary>
internal static class Printer
{
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Print(string form, JsonNode value, IReadOnlyList<string> headers, IEnumerable<IReadOnlyList<string>> rows)
    {
        switch (form)
        {
            case "json":
                Console.WriteLine(value.ToJsonString(s_indented));
                break;
            case "yaml":
                Console.Write(Yaml(value));
                break;
            default:
                Console.Write(Table(headers, rows));
                break;
        }
    }

    /// <summary>What was done: a sentence for people, its facts for programs.</summary>
    public static void Done(string form, string sentence, JsonObject facts)
    {
        if (form == "table")
            Console.WriteLine(sentence);
        else
            Print(form, facts, [], []);
    }

    /// <summary>One YAML document.</summary>
    internal static string Yaml(JsonNode value)
    {
        using var text = new StringWriter();
        new YamlStream(new YamlDocument(ToYaml(value))).Save(text, assignAnchors: false);
        // The library ends with a mark that nobody needs after the only document.
        const string End = "...";
        string yaml = text.ToString().TrimEnd();
        return (yaml.EndsWith("\n" + End, StringComparison.Ordinal) ? yaml[..^End.Length] : yaml + "\n");
    }

    /// <summary>Columns aligned by three spaces, as kubectl prints them.</summary>
    public static string Table(IReadOnlyList<string> headers, IEnumerable<IReadOnlyList<string>> rows)
    {
        List<IReadOnlyList<string>> lines = [headers, .. rows];
        int[] widths = new int[headers.Count];
        foreach (IReadOnlyList<string> line in lines)
            for (int i = 0; i < widths.Length; i++)
                widths[i] = Math.Max(widths[i], line[i].Length);
        var text = new StringBuilder();
        foreach (IReadOnlyList<string> line in lines)
        {
            for (int i = 0; i < widths.Length - 1; i++)
                text.Append(line[i].PadRight(widths[i] + 3));
            text.Append(line[^1]).Append('\n');
        }
        return text.ToString();
    }

    private static YamlNode ToYaml(JsonNode? node)
    {
        switch (node)
        {
            case JsonObject map:
                var mapping = new YamlMappingNode();
                foreach (KeyValuePair<string, JsonNode?> pair in map)
                    mapping.Add(Scalar(pair.Key, true), ToYaml(pair.Value));
                return mapping;
            case JsonArray list:
                var sequence = new YamlSequenceNode();
                foreach (JsonNode? item in list)
                    sequence.Add(ToYaml(item));
                return sequence;
            case null:
                return Scalar("null", false);
            default:
                return node.GetValueKind() == JsonValueKind.String ? Scalar(node.GetValue<string>(), true) : Scalar(node.ToJsonString(), false);
        }
    }

    // A string that YAML would read as something else is quoted.
    private static YamlScalarNode Scalar(string text, bool isString)
    {
        bool ambiguous = isString && (text.Length == 0 || text.ToLowerInvariant() is "null" or "true" or "false" or "yes" or "no" or "on" or "off" or "y" or "n" || !char.IsAsciiLetter(text[0]) && text[0] != '/' || text.Contains(": ", StringComparison.Ordinal) || text.Contains(" #", StringComparison.Ordinal));
        return new YamlScalarNode(text) { Style = ambiguous ? YamlDotNet.Core.ScalarStyle.DoubleQuoted : YamlDotNet.Core.ScalarStyle.Plain };
    }
}
