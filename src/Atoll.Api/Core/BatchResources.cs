using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Quantities;

namespace Atoll.Api.Core;

/// <summary>What a batch pod asks for: <c>edge.atoll.dev/batch-cpu</c> and <c>batch-memory</c> wherever it was written with <c>cpu</c> and <c>memory</c>.</summary>
public static class BatchResources
{
    private static readonly (string Plain, string Batch)[] s_names = [("cpu", WellKnown.BatchCpu), ("memory", WellKnown.BatchMemory)];

    /// <summary>True for a pod with the label of batch pods.</summary>
    public static bool IsBatch(JsonObject pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        return pod["metadata"] is JsonObject metadata && metadata["labels"] is JsonObject labels && labels[WellKnown.QosLabel] is JsonValue qos && qos.ToString() == WellKnown.QosBatch;
    }

    /// <summary>Writes what a batch pod asks for in batch resources; the same again changes nothing, so a manifest can be applied again.</summary>
    public static void Convert(JsonObject pod)
    {
        if (!IsBatch(pod) || pod["spec"] is not JsonObject spec)
            return;
        foreach (string list in (ReadOnlySpan<string>)["containers", "initContainers"])
            foreach (JsonNode? container in spec[list] as JsonArray ?? [])
                foreach (string amounts in (ReadOnlySpan<string>)["requests", "limits"])
                    if (container is JsonObject one && one["resources"] is JsonObject resources && resources[amounts] is JsonObject map)
                        ConvertAmounts(map);
    }

    private static void ConvertAmounts(JsonObject amounts)
    {
        foreach ((string plain, string batch) in s_names)
        {
            if (amounts[plain] is not JsonValue value || !Quantity.TryParse(value.ToString(), out Quantity amount))
                continue;
            long converted = plain == "cpu" ? amount.Milli : amount.Value;
            // Two different amounts stay: validation says so.
            if (amounts[batch] is { } has && !(Quantity.TryParse(has.ToString(), out Quantity given) && given.Value == converted))
                continue;
            amounts[batch] = converted.ToString(CultureInfo.InvariantCulture);
            amounts.Remove(plain);
        }
    }
}
