using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>Requests and limits: what a pod needs, its quality-of-service class, and what the kernel is told.</summary>
internal static class PodResources
{
    /// <summary>True for a pod that runs in what online pods leave.</summary>
    public static bool IsBatch(Pod pod) => pod.Metadata.Labels is { } labels && labels.TryGetValue(WellKnown.QosLabel, out string? qos) && qos == WellKnown.QosBatch;

    /// <summary>Guaranteed, Burstable or BestEffort, by Kubernetes' rules.</summary>
    public static string QosClass(PodSpec spec)
    {
        bool any = false, guaranteed = true;
        foreach (Container container in spec.Containers.Concat(spec.InitContainers ?? []))
        {
            foreach (string name in (ReadOnlySpan<string>)["cpu", "memory"])
            {
                Quantity limit = Limit(container, name), request = Request(container, name);
                any |= limit > Quantity.Zero || request > Quantity.Zero;
                guaranteed &= limit > Quantity.Zero && request == limit;
            }
        }
        return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
    }

    public static Quantity Limit(Container container, string name) =>
        container.Resources?.Limits is { } limits && limits.TryGetValue(name, out string? text) ? Quantity.Parse(text) : Quantity.Zero;

    /// <summary>The request, which is the limit when only that is given.</summary>
    public static Quantity Request(Container container, string name) =>
        container.Resources?.Requests is { } requests && requests.TryGetValue(name, out string? text) ? Quantity.Parse(text) : Limit(container, name);

    /// <summary>What the pod needs of a resource: main containers and sidecars together, or the largest init step, plus overhead.</summary>
    public static Quantity PodRequest(PodSpec spec, string name)
    {
        Quantity sidecars = Quantity.Zero, peak = Quantity.Zero, sum = Quantity.Zero;
        foreach (Container init in spec.InitContainers ?? [])
        {
            Quantity own = Request(init, name);
            if (init.RestartPolicy == "Always")
                sidecars += own;
            Quantity step = init.RestartPolicy == "Always" ? sidecars : sidecars + own;
            if (step > peak)
                peak = step;
        }
        foreach (Container container in spec.Containers)
            sum += Request(container, name);
        sum += sidecars;
        if (peak > sum)
            sum = peak;
        return spec.Overhead is { } overhead && overhead.TryGetValue(name, out string? text) ? sum + Quantity.Parse(text) : sum;
    }

    /// <summary>Names of all resources that the pod asks for.</summary>
    public static IEnumerable<string> Names(PodSpec spec)
    {
        var names = new HashSet<string>(StringComparer.Ordinal) { "cpu", "memory" };
        foreach (Container container in spec.Containers.Concat(spec.InitContainers ?? []))
        {
            foreach (string name in container.Resources?.Requests?.Keys ?? Enumerable.Empty<string>())
                names.Add(name);
            foreach (string name in container.Resources?.Limits?.Keys ?? Enumerable.Empty<string>())
                names.Add(name);
        }
        return names;
    }

    /// <summary>What the kernel is told of a container.</summary>
    public static InstanceLimits Limits(PodSpec spec, Container container, long pidsLimit, long memoryCapacityBytes) => new()
    {
        // A container has either of the two: batch containers share what their group gets by what they asked for.
        CpuShares = Math.Max(2, Math.Min(262144, (Request(container, "cpu").Milli + Request(container, WellKnown.BatchCpu).Value) * 1024 / 1000)),
        CpuLimitMilli = Limit(container, "cpu").Milli + Limit(container, WellKnown.BatchCpu).Value,
        MemoryLimitBytes = Limit(container, "memory").Value + Limit(container, WellKnown.BatchMemory).Value,
        PidsLimit = pidsLimit,
        OomScoreAdj = OomScoreAdj(spec, container, memoryCapacityBytes),
    };

    /// <summary>Kubernetes' oom_score_adj: guaranteed -997, best effort 1000, burstable between by its request.</summary>
    public static int OomScoreAdj(PodSpec spec, Container container, long memoryCapacityBytes)
    {
        switch (QosClass(spec))
        {
            case "Guaranteed": return -997;
            case "BestEffort": return 1000;
        }
        long request = Request(container, "memory").Value;
        long score = memoryCapacityBytes <= 0 ? 999 : 1000 - (long)(1000.0 * request / memoryCapacityBytes);
        return (int)Math.Clamp(score, 3, 999);
    }
}
