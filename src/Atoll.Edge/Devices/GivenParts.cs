using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Devices;

/// <summary>What of its node a pod was given (see <see cref="Allocation"/>), as its containers see it.</summary>
internal static class GivenParts
{
    private static readonly string[] s_gpu = [WellKnown.Gpu, WellKnown.GpuMilli, WellKnown.GpuMemory];

    /// <summary>Cores that a pod takes of this node: its cores, and what its normalised ones come to here.</summary>
    public static Quantity Cores(Pod pod)
    {
        Quantity cpu = PodResources.PodRequest(pod.Spec, "cpu"), compute = PodResources.PodRequest(pod.Spec, WellKnown.Compute);
        if (compute == Quantity.Zero)
            return cpu;
        return Of(pod)?.CpuMilli is { } milli ? Quantity.FromMilli(milli) : cpu + compute;
    }

    /// <summary>Limits of a container with what the pod was given: NUMA nodes, huge pages, cores for normalised ones.</summary>
    public static InstanceLimits Limits(Pod pod, Container container, InstanceLimits limits, NodeEdge? node)
    {
        Allocation? given = Of(pod);
        Quantity compute = PodResources.Request(container, WellKnown.Compute);
        if (compute > Quantity.Zero)
        {
            Quantity all = PodResources.PodRequest(pod.Spec, WellKnown.Compute), plain = PodResources.PodRequest(pod.Spec, "cpu");
            long cores = all.Milli == 0 ? 0 : (long)((Int128)compute.Milli * (Cores(pod) - plain).Milli / all.Milli);
            limits = limits with { CpuShares = Math.Clamp((PodResources.Request(container, "cpu").Milli + cores) * 1024 / 1000, 2, 262_144), CpuLimitMilli = PodResources.Limit(container, WellKnown.Compute) > Quantity.Zero ? limits.CpuLimitMilli + cores : limits.CpuLimitMilli };
        }
        if (given?.Numa is { Count: > 0 } cells && cells.ConvertAll(id => node?.Numa?.Find(n => n.Id == id)) is var found && !found.Contains(null))
            limits = limits with { CpusetCpus = string.Join(',', found.Select(n => n!.Cpus)), CpusetMems = string.Join(',', cells.Select(c => c.ToString(CultureInfo.InvariantCulture))) };
        var pages = new List<KeyValuePair<string, long>>();
        foreach ((string resource, string size) in ((string, string)[])[("hugepages-2Mi", "2MB"), ("hugepages-1Gi", "1GB")])
            if (PodResources.Limit(container, resource).Value is > 0 and long bytes)
                pages.Add(new(size, bytes));
        return pages.Count > 0 ? limits with { HugePages = pages } : limits;
    }

    /// <summary>
    /// Device nodes and environment of a container that asks for devices. Throws <see cref="UnresolvedException"/> when a device
    /// that was given is not on this node, or none was.
    /// </summary>
    public static (IReadOnlyList<string> Paths, IReadOnlyDictionary<string, string> Environment) Devices(Pod pod, Container container, IReadOnlyList<DeclaredDevice> declared)
    {
        var paths = new List<string>();
        var environment = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string resource in declared.Select(d => d.Device.Resource).Distinct(StringComparer.Ordinal))
        {
            if (!(resource == WellKnown.Gpu ? s_gpu : [resource]).Any(r => PodResources.Request(container, r) > Quantity.Zero))
                continue;
            (long milli, long bytes) = resource == WellKnown.Gpu ? (PodResources.Request(container, WellKnown.GpuMilli).Value, PodResources.Request(container, WellKnown.GpuMemory).Value) : default;
            List<string> ids = Of(pod)?.Devices?.GetValueOrDefault(resource) ?? throw new UnresolvedException($"no {resource} was given to the pod: its annotation {Allocation.Annotation} names none");
            foreach (string id in ids)
            {
                DeclaredDevice device = declared.FirstOrDefault(d => d.Device.Resource == resource && d.Device.Id == id) ?? throw new UnresolvedException($"the pod was given {resource} {id}, which is not on this node");
                paths.AddRange(device.Paths.Except(paths));
                foreach (KeyValuePair<string, string> pair in device.Environment)
                    environment[pair.Key] = environment.TryGetValue(pair.Key, out string? before) ? $"{before},{pair.Value}" : pair.Value;
                if (milli > 0 || bytes > 0)
                    foreach (KeyValuePair<string, string> pair in device.ShareEnvironment)
                        if (Share(pair.Value, milli, bytes) is { } value)
                            environment[pair.Key] = value;
            }
            environment[Name(resource)] = string.Join(',', ids);
            if (milli > 0)
                environment[Name(WellKnown.GpuMilli)] = milli.ToString(CultureInfo.InvariantCulture);
            if (bytes > 0)
                environment[Name(WellKnown.GpuMemory)] = bytes.ToString(CultureInfo.InvariantCulture);
        }
        return (paths, environment);
    }

    /// <summary>A value with what was asked for in its places; null when it has a place for what was not. Percent of a GPU is at least 1, MiB are rounded down.</summary>
    internal static string? Share(string value, long milli, long bytes)
    {
        foreach ((string place, long amount, bool asked) in ((string, long, bool)[])[
            ("$(percent)", Math.Max(1, milli / 10), milli > 0), ("$(milli)", milli, milli > 0), ("$(memoryMi)", bytes >> 20, bytes > 0), ("$(memoryBytes)", bytes, bytes > 0)])
        {
            if (!asked && value.Contains(place, StringComparison.Ordinal))
                return null;
            value = value.Replace(place, amount.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);
        }
        return value;
    }

    /// <summary>Name of the variable that names a container's devices: EDGE_ATOLL_DEV_GPU for edge.atoll.dev/gpu.</summary>
    internal static string Name(string resource) => string.Create(resource.Length, resource, static (span, text) =>
    {
        for (int i = 0; i < span.Length; i++)
            span[i] = char.IsAsciiLetterOrDigit(text[i]) ? char.ToUpperInvariant(text[i]) : '_';
    });

    private static Allocation? Of(Pod pod) => Allocation.Parse(pod.Metadata.Annotation(Allocation.Annotation));
}
