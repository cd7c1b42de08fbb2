using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Commands;
using Atoll.Kube.Http;

namespace Atoll.Cloud.Local;

/// <summary>Applies a manifest of several YAML documents: creates what is missing, changes what differs, in order.</summary>
internal static class Manifest
{
    private const int MaxBytes = 3 << 20;

    /// <summary>Applies a file into a namespace.</summary>
    public static async Task ApplyAsync(IResources resources, string path, string ns, CancellationToken cancellation)
    {
        if (new FileInfo(path).Length > MaxBytes)
            throw new CommandException($"{path} is larger than {MaxBytes} bytes.");
        string text = await File.ReadAllTextAsync(path, cancellation);
        foreach (string part in text.Split("\n---\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (YamlReader.Parse(Encoding.UTF8.GetBytes(part), []) is not JsonObject document)
                continue;
            string apiVersion = Text(document, "apiVersion"), kind = Text(document, "kind"), name = Text(document["metadata"] as JsonObject, "name");
            ResourceType type = Kinds.Find(apiVersion, kind) ?? throw new CommandException($"{path}: kind: {apiVersion} {kind} is not served.");
            if (name.Length == 0)
                throw new CommandException($"{path}: metadata.name of {kind} is missing.");
            string? target = type.Namespaced ? ns : null;
            ApiResult result = await resources.CreateAsync(type, target, document.DeepClone().AsObject(), cancellation);
            if (result.IsAlreadyExists)
                result = await resources.PatchAsync(type, target, name, PatchType.StrategicMerge, document, cancellation);
            SiteCommands.Check(result);
        }
    }

    private static string Text(JsonObject? node, string field) => node?[field] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : "";
}
