using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Kube.Resources;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Atoll.Kube.Http;

/// <summary>
/// YAML to a JSON tree, from parser events: plain scalars become null, booleans and numbers as in YAML 1.2's core schema.
/// Anchors are refused: an alias can make a small text a huge document.
/// </summary>
internal static class YamlReader
{
    /// <summary>The first document of a text; throws <see cref="FormatException"/> when it is no YAML.</summary>
    public static JsonNode? Parse(ReadOnlyMemory<byte> utf8, List<string> duplicates)
    {
        try
        {
            using var reader = new StreamReader(new MemoryStream(utf8.ToArray()));
            var parser = new Parser(reader);
            parser.Consume<StreamStart>();
            if (parser.TryConsume<StreamEnd>(out _))
                return null;
            parser.Consume<DocumentStart>();
            JsonNode? node = Read(parser, "", 0, duplicates);
            parser.Consume<DocumentEnd>();
            return parser.TryConsume<StreamEnd>(out _) ? node : throw new FormatException("there is more than one document in the body");
        }
        catch (YamlException e)
        {
            throw new FormatException($"yaml: line {e.Start.Line}: {e.Message}", e);
        }
    }

    private static JsonNode? Read(Parser parser, string path, int depth, List<string> duplicates)
    {
        if (depth > Json.MaxDepth)
            throw new FormatException($"the document is nested deeper than {Json.MaxDepth} levels");
        if (parser.Accept<Scalar>(out _))
            return Value(parser.Consume<Scalar>());
        if (parser.TryConsume<SequenceStart>(out _))
        {
            JsonArray list = [];
            while (!parser.TryConsume<SequenceEnd>(out _))
                list.Add(Read(parser, $"{path}[{list.Count}]", depth + 1, duplicates));
            return list;
        }
        if (!parser.TryConsume<MappingStart>(out _))
            throw new FormatException("aliases are not read: write the value out");
        JsonObject map = [];
        while (!parser.TryConsume<MappingEnd>(out _))
        {
            string name = parser.Consume<Scalar>().Value;
            string child = path.Length == 0 ? name : $"{path}.{name}";
            if (map.ContainsKey(name))
                duplicates.Add(child);
            map[name] = Read(parser, child, depth + 1, duplicates);
        }
        return map;
    }

    private static JsonValue? Value(Scalar scalar)
    {
        string text = scalar.Value;
        if (scalar.Style != ScalarStyle.Plain || scalar.Tag == "tag:yaml.org,2002:str" || scalar.Tag == "!")
            return JsonValue.Create(text);
        return text switch
        {
            "" or "~" or "null" or "Null" or "NULL" => null,
            "true" or "True" or "TRUE" => JsonValue.Create(true),
            "false" or "False" or "FALSE" => JsonValue.Create(false),
            _ => Number(text) ?? JsonValue.Create(text),
        };
    }

    private static JsonValue? Number(string text)
    {
        if (!char.IsAsciiDigit(text[^1]) && text[^1] != '.')
            return null;
        if (text.StartsWith("0x", StringComparison.Ordinal) && long.TryParse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out long hex))
            return JsonValue.Create(hex);
        if (text.StartsWith("0o", StringComparison.Ordinal) || (text.Length > 1 && text[0] == '0' && text.All(char.IsAsciiDigit)))
            return Octal(text.TrimStart('0').TrimStart('o'));
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long whole))
            return JsonValue.Create(whole);
        const NumberStyles Float = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(text, Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number) ? JsonValue.Create(number) : null;
    }

    // File modes (0644) are octal, as kubectl and Kubernetes read them.
    private static JsonValue? Octal(string digits)
    {
        long value = 0;
        foreach (char digit in digits)
        {
            if (digit is < '0' or > '7' || value > long.MaxValue / 8)
                return null;
            value = value * 8 + digit - '0';
        }
        return JsonValue.Create(value);
    }
}
