using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;

namespace Atoll.Edge.Devices;

/// <summary>A device that the agent's configuration declares, with what a container that gets it sees.</summary>
public sealed record DeclaredDevice
{
    /// <summary>What the node tells of it.</summary>
    public required NodeDevice Device { get; init; }

    /// <summary>Device nodes of the host that its containers get.</summary>
    public IReadOnlyList<string> Paths { get; init; } = [];

    /// <summary>Environment of its containers; values of several devices are joined by commas.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// More of it for containers that get a share of a GPU, for whatever enforces shares there: <c>$(percent)</c>, <c>$(milli)</c>,
    /// <c>$(memoryMi)</c> and <c>$(memoryBytes)</c> stand for what the container asked for; a variable that stands for what it did not ask
    /// for is left out.
    /// </summary>
    public IReadOnlyDictionary<string, string> ShareEnvironment { get; init; } = new Dictionary<string, string>();
}

/// <summary>
/// Devices from a file that an operator (or a vendor's discovery tool) writes. Atoll drives none itself: it counts them, gives them
/// out one by one and shows a container its own.
/// </summary>
public static class DeclaredDevices
{
    private const int MaxDevices = 256, MaxBytes = 1 << 20;

    /// <summary>Reads a file. Throws <see cref="InvalidDataException"/> with the place and what is wrong.</summary>
    public static IReadOnlyList<DeclaredDevice> Load(string path)
    {
        if (!File.Exists(path))
            throw new InvalidDataException($"--devices: there is no file at {path}.");
        if (new FileInfo(path).Length > MaxBytes)
            throw new InvalidDataException($"{path} is larger than 1 MiB.");
        try
        {
            return Parse(JsonNode.Parse(File.ReadAllText(path)), path);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path} is no JSON: {e.Message}", e);
        }
    }

    internal static IReadOnlyList<DeclaredDevice> Parse(JsonNode? document, string path)
    {
        if (document is not JsonObject root || root["devices"] is not JsonArray list)
            throw new InvalidDataException($"{path}: an object with a list \"devices\" is needed.");
        if (list.Count > MaxDevices)
            throw new InvalidDataException($"{path}: at most {MaxDevices} devices.");
        var devices = new List<DeclaredDevice>();
        var seen = new HashSet<(string, string)>();
        for (int i = 0; i < list.Count; i++)
        {
            string at = $"{path}: devices[{i}]";
            JsonObject item = list[i] as JsonObject ?? throw new InvalidDataException($"{at} is no object.");
            string resource = Text(item["resource"], at, "resource"), id = Text(item["id"], at, "id");
            if (!resource.Contains('/', StringComparison.Ordinal) || LabelSyntax.KeyError(resource) is not null)
                throw new InvalidDataException($"{at}.resource: \"{resource}\" is no extended resource, such as {WellKnown.Gpu} or example.com/npu.");
            if (id.Length > 63 || LabelSyntax.ValueError(id) is not null)
                throw new InvalidDataException($"{at}.id: \"{id}\" must have at most 63 letters, digits, '-', '_' or '.'.");
            if (!seen.Add((resource, id)))
                throw new InvalidDataException($"{at}: {resource} {id} is there twice.");
            var attributes = Map(item["attributes"], at, "attributes");
            if (attributes.TryGetValue("memory", out string? memory) && !Quantity.TryParse(memory, out _))
                throw new InvalidDataException($"{at}.attributes.memory: \"{memory}\" is no amount, such as 16Gi.");
            Dictionary<string, string> share = Map(item["shareEnvironment"], at, "shareEnvironment");
            foreach ((string name, string value) in share)
                if (resource != WellKnown.Gpu || GivenParts.Share(value, 1000, 1) is not { } whole || whole.Contains("$(", StringComparison.Ordinal))
                    throw new InvalidDataException($"{at}.shareEnvironment.{name}: only {WellKnown.Gpu} has shares, told by $(percent), $(milli), $(memoryMi) and $(memoryBytes).");
            devices.Add(new DeclaredDevice
            {
                Device = new NodeDevice { Resource = resource, Id = id, Numa = item["numa"] is JsonValue numa && numa.TryGetValue(out int number) ? number : null, Attributes = attributes.Count > 0 ? attributes : null },
                Paths = [.. (item["paths"] as JsonArray ?? []).Select((p, n) => Text(p, at, $"paths[{n}]"))],
                Environment = Map(item["environment"], at, "environment"),
                ShareEnvironment = share,
            });
        }
        return devices;
    }

    /// <summary>Amounts that the devices come to, by resource; GPUs also by thousandths and memory.</summary>
    internal static Dictionary<string, Quantity> Amounts(IReadOnlyList<DeclaredDevice> devices)
    {
        var amounts = new Dictionary<string, Quantity>(StringComparer.Ordinal);
        foreach (DeclaredDevice device in devices)
        {
            Add(device.Device.Resource, 1);
            if (device.Device.Resource != WellKnown.Gpu)
                continue;
            Add(WellKnown.GpuMilli, 1000);
            Add(WellKnown.GpuMemory, Quantity.Parse(device.Device.Attributes?.GetValueOrDefault("memory")).Value);
        }
        return amounts;

        void Add(string name, long more) => amounts[name] = amounts.GetValueOrDefault(name) + Quantity.FromValue(more);
    }

    private static string Text(JsonNode? node, string at, string field) =>
        node is JsonValue value && value.TryGetValue(out string? text) && text.Length > 0 ? text : throw new InvalidDataException($"{at}.{field}: a text is needed.");

    private static Dictionary<string, string> Map(JsonNode? node, string at, string field)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach ((string key, JsonNode? value) in node as JsonObject ?? [])
            map[key] = Text(value, at, $"{field}.{key}");
        return map;
    }
}
