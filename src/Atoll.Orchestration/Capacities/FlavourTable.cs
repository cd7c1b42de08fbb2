using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Loop;
using Atoll.Scheduling.Capacities;

namespace Atoll.Orchestration.Capacities;

/// <summary>Flavour objects as the capacity library takes them.</summary>
internal static class FlavourTable
{
    /// <summary>Every Flavour object that sells something, in order of names.</summary>
    public static List<Flavour> All(Cluster cluster)
    {
        var flavours = new List<Flavour>();
        foreach (KubeObject value in cluster.Of(Kinds.Flavour).All())
            if (Of(value.Name, value.View(ApiJson.Default.FlavourDefinition).Spec) is { } flavour)
                flavours.Add(flavour);
        flavours.Sort(static (a, b) => string.CompareOrdinal(a.Name, b.Name));
        return flavours;
    }

    /// <summary>What a name stands for: a Flavour object, else a size such as <c>4c8g</c>; null when neither.</summary>
    public static Flavour? Find(Cluster cluster, string name) =>
        Flavours.Resolve(name, cluster.Of(Kinds.Flavour).Get) is { } spec ? Of(name, spec) : null;

    private static Flavour? Of(string name, FlavourSpec spec) => spec.Resources is { Count: > 0 } ? Flavour.Of(name, spec) : null;
}
