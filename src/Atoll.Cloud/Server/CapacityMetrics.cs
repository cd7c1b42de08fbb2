using System.Globalization;
using System.Text;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Cloud.Server;

/// <summary>What Capacity and DefragmentationPlan objects say, in Prometheus' text format. A label without a value means all.</summary>
internal static class CapacityMetrics
{
    private static readonly (string Name, string Help, Func<CapacityStatus, double?> Value)[] s_gauges =
    [
        ("atoll_fragmentation_ratio", "Free capacity that cannot be sold as the flavour, divided by free capacity, of the scarcest resource.", s => s.Fragmentation),
        ("atoll_saleable_instances", "Instances of the flavour that can be sold now.", s => s.Saleable),
        ("atoll_pooled_instances", "Instances of the flavour that the free capacity would hold in one piece.", s => s.Pooled),
        ("atoll_capacity_closed_nodes", "Nodes that take no new work of the flavour.", s => s.ClosedNodes),
        ("atoll_gpu_free", "Free GPUs of the nodes that take new work.", s => s.Gpu?.Free),
        ("atoll_gpu_expected_fragment", "Free GPUs that a pod drawn from the running mix could not use.", s => s.Gpu?.ExpectedFragment),
    ];

    /// <summary>Appends them.</summary>
    public static async Task WriteAsync(StringBuilder text, IResources resources, CancellationToken cancellation)
    {
        ApiList capacities = await resources.ListAsync(Kinds.Capacity, null, ListOptions.Default, cancellation);
        foreach ((string name, string help, Func<CapacityStatus, double?> value) in s_gauges)
        {
            text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} gauge\n");
            foreach (KubeObject item in capacities.Items)
            {
                Capacity capacity = item.View(ApiJson.Default.Capacity);
                if (capacity.Status is { } status && value(status) is { } figure)
                    text.Append(CultureInfo.InvariantCulture, $"{name}{{flavour=\"{Escape(capacity.Spec.Flavour)}\",region=\"{Escape(capacity.Spec.Region)}\",site=\"{Escape(capacity.Spec.Site)}\"}} {figure}\n");
            }
        }
        ApiList plans = await resources.ListAsync(Kinds.DefragmentationPlan, null, ListOptions.Default, cancellation);
        text.Append("# HELP atoll_defragmentation_moves Moves of a plan by state.\n# TYPE atoll_defragmentation_moves gauge\n");
        foreach (KubeObject item in plans.Items)
            foreach (IGrouping<string, DefragmentationMove> state in (item.View(ApiJson.Default.DefragmentationPlan).Status?.Moves ?? []).GroupBy(m => m.State, StringComparer.Ordinal))
                text.Append(CultureInfo.InvariantCulture, $"atoll_defragmentation_moves{{plan=\"{Escape(item.Name)}\",state=\"{state.Key}\"}} {state.Count()}\n");
    }

    private static string Escape(string? value) => (value ?? "").Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
}
