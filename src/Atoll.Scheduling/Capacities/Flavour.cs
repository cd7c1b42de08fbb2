using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Capacities;

/// <summary>What is sold: a name and the resources that one instance takes.</summary>
public sealed record Flavour(string Name, IReadOnlyDictionary<string, string> Requests)
{
    private KubeObject? _pod;

    /// <summary>Labels that a node must have to sell it.</summary>
    public IReadOnlyDictionary<string, string> NodeLabels { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>The form, NUMA nodes and models of GPU that are asked for; null is none of these.</summary>
    public FlavourSpec? Spec { get; init; }

    /// <summary>One instance, as a pod that waits.</summary>
    public KubeObject Pod => _pod ??= MakePod();

    /// <summary>What a Flavour object stands for.</summary>
    public static Flavour Of(string name, FlavourSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        if (!string.IsNullOrEmpty(spec.Arch))
            labels[WellKnown.ArchLabel] = spec.Arch;
        if (!string.IsNullOrEmpty(spec.CpuLevel))
            labels[Flavours.CpuLevelPrefix + spec.CpuLevel] = "true";
        return new Flavour(name, spec.Resources ?? []) { NodeLabels = labels, Spec = spec };
    }

    /// <summary>True when a node with these labels may sell it.</summary>
    public bool Suits(IReadOnlyDictionary<string, string> labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        foreach (KeyValuePair<string, string> wanted in NodeLabels)
            if (!labels.TryGetValue(wanted.Key, out string? value) || value != wanted.Value)
                return false;
        return true;
    }

    /// <summary>What one instance takes of a node, by column; columns that are new are added to the names. What is the site's is not in it.</summary>
    internal (int Column, long Need)[] Needs(ResourceNames names)
    {
        var spec = new PodSpec { Containers = [new Container { Name = "c", Resources = new ResourceRequirements { Requests = new Dictionary<string, string>(Requests) } }] };
        long[] all = names.RequestsOf(spec);
        var needs = new List<(int, long)>();
        for (int r = 0; r < all.Length; r++)
            if (all[r] > 0 && !names[r].StartsWith(WellKnown.SiteResourcePrefix, StringComparison.Ordinal))
                needs.Add((r, all[r]));
        return [.. needs];
    }

    private KubeObject MakePod()
    {
        var pod = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Pod", ["metadata"] = new JsonObject { ["name"] = "flavour", ["namespace"] = "default", ["uid"] = "flavour" }, ["spec"] = new JsonObject { ["containers"] = new JsonArray(new JsonObject { ["name"] = "c" }) } };
        Flavours.Apply(pod, Spec ?? new FlavourSpec { Resources = new Dictionary<string, string>(Requests) });
        return KubeObject.FromNode(pod);
    }

    /// <summary>
    /// Reads <c>4c8g</c> (cores and GiB of memory) or a list such as <c>cpu=4,memory=8Gi,nvidia.com/gpu=1</c>. Throws
    /// <see cref="FormatException"/> with what is wrong.
    /// </summary>
    public static Flavour Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length > 1024)
            throw new FormatException("a flavour has at most 1,024 characters");
        if (Flavours.ParseSize(text) is { } size)
            return new Flavour(text, size);
        var requests = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string part in text.Split(','))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !Quantity.TryParse(part[(equals + 1)..], out Quantity amount) || amount <= Quantity.Zero)
                throw new FormatException($"\"{part}\" of the flavour \"{text}\" is not understood: write 4c8g, or amounts above zero such as cpu=4,memory=8Gi,example.com/gpu=1");
            if (!requests.TryAdd(part[..equals], part[(equals + 1)..]))
                throw new FormatException($"the flavour \"{text}\" names {part[..equals]} twice");
        }
        return new Flavour(text, requests);
    }
}
