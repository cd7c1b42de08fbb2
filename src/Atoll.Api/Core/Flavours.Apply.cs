using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;

namespace Atoll.Api.Core;

/// <summary>Makes a pod one of a flavour. Pure; applying it twice changes nothing.</summary>
public static class Flavours
{
    /// <summary>Annotation: <c>single</c> asks for room in one NUMA node, <c>split</c> for half in each of two.</summary>
    public const string NumaAnnotation = "edge.atoll.dev/numa-policy";

    /// <summary>Annotation: attributes that a pod's devices must have, <c>RESOURCE: SELECTOR; …</c> with label selectors.</summary>
    public const string DeviceAnnotation = "edge.atoll.dev/device-selector";

    /// <summary>Prefix of the labels that say which instruction sets a node has, each level and all below it.</summary>
    public const string CpuLevelPrefix = "cpu.edge.atoll.dev/";

    /// <summary>Reads a size such as <c>4c8g</c> (cores and GiB of memory); null when the text is none.</summary>
    public static Dictionary<string, string>? ParseSize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int c = text.IndexOf('c', StringComparison.Ordinal);
        if (c <= 0 || !text.EndsWith('g') || Amount(text.AsSpan(0, c)) is not { } cores || Amount(text.AsSpan(c + 1, text.Length - c - 2)) is not { } memory)
            return null;
        return new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["cpu"] = cores.ToString(CultureInfo.InvariantCulture),
            ["memory"] = Quantity.FromValue((long)(memory * (1L << 30))).ToString(),
        };
    }

    /// <summary>
    /// What a name stands for: the Flavour object that <paramref name="find"/> has, else a size such as <c>4c8g</c>; null when
    /// it is neither.
    /// </summary>
    public static FlavourSpec? Resolve(string name, Func<string, KubeObject?> find)
    {
        ArgumentNullException.ThrowIfNull(find);
        if (find(name) is { } found)
            return found.View(ApiJson.Default.FlavourDefinition).Spec;
        return ParseSize(name) is { } size ? new FlavourSpec { Resources = size } : null;
    }

    /// <summary>
    /// Fills a pod (or a template: an object with metadata and spec) in. Its first container takes the flavour's resources as
    /// requests and limits; selectors, form, NUMA policy and GPU models follow. The answer is what in the pod contradicts the
    /// flavour (field and reason), or null.
    /// </summary>
    public static (string Field, string Reason)? Apply(JsonObject pod, FlavourSpec flavour)
    {
        ArgumentNullException.ThrowIfNull(pod);
        ArgumentNullException.ThrowIfNull(flavour);
        if (pod["spec"] is not JsonObject spec || spec["containers"] is not JsonArray { Count: > 0 } containers || containers[0] is not JsonObject container)
            return null; // The schema says what is missing.
        foreach (string list in (ReadOnlySpan<string>)["requests", "limits"])
            foreach (KeyValuePair<string, string> amount in flavour.Resources ?? [])
                if (Put(Child(Child(container, "resources"), list), amount.Key, amount.Value, sameAmount: true) is { } given)
                    return ($"spec.containers[0].resources.{list}[{amount.Key}]", $"is {given} where the flavour says {amount.Value}: leave it out");
        foreach ((string key, string? value) in ((string, string?)[])[(WellKnown.ArchLabel, flavour.Arch), (CpuLevelPrefix + flavour.CpuLevel, string.IsNullOrEmpty(flavour.CpuLevel) ? null : "true")])
            if (!string.IsNullOrEmpty(value) && Put(Child(spec, "nodeSelector"), key, value, sameAmount: false) is { } other)
                return ($"spec.nodeSelector[{key}]", $"is {other} where the flavour says {value}");
        if (!string.IsNullOrEmpty(flavour.RuntimeClassName) && Put(spec, "runtimeClassName", flavour.RuntimeClassName, sameAmount: false) is { } form)
            return ("spec.runtimeClassName", $"is {form} where the flavour says {flavour.RuntimeClassName}");
        JsonObject annotations = Child(Child(pod, "metadata"), "annotations");
        if (flavour.Numa is 1 or 2)
            annotations[NumaAnnotation] = flavour.Numa == 1 ? "single" : "split";
        if (flavour.GpuModels is { Count: > 0 } models && annotations[DeviceAnnotation] is null)
            annotations[DeviceAnnotation] = $"{WellKnown.Gpu}: model in ({string.Join(',', models)})";
        if (annotations.Count == 0)
            Child(pod, "metadata").Remove("annotations");
        return null;
    }

    /// <summary>Puts a value where there is none; the answer is another value that is there already.</summary>
    private static string? Put(JsonObject into, string key, string value, bool sameAmount)
    {
        if (into[key] is not { } given)
        {
            into[key] = value;
            return null;
        }
        string text = given.ToString();
        return text == value || (sameAmount && Quantity.TryParse(text, out Quantity has) && Quantity.TryParse(value, out Quantity wants) && has == wants) ? null : text;
    }

    private static JsonObject Child(JsonObject parent, string name)
    {
        if (parent[name] is not JsonObject child)
            parent[name] = child = [];
        return child;
    }

    private static decimal? Amount(ReadOnlySpan<char> text) =>
        decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal amount) && amount is > 0 and < 1_000_000 ? amount : null;
}
