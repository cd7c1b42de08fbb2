using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>
/// A new pod that is batch, by the label <c>edge.atoll.dev/qos: batch</c> or by a PriorityClass that has this label, asks for
/// <c>edge.atoll.dev/batch-cpu</c> and <c>batch-memory</c> wherever it was written with <c>cpu</c> and <c>memory</c>: from here on
/// it is an ordinary pod with extended resources to everybody, and nothing that online pods may be sold is counted for it.
/// </summary>
internal static class BatchAdmission
{
    private static readonly (string Plain, string Batch)[] s_names = [("cpu", WellKnown.BatchCpu), ("memory", WellKnown.BatchMemory)];

    /// <summary>Fills label, class and resources in, or says that the pod's class is one of online pods.</summary>
    public static StatusCause? Fill(JsonObject pod, ResourceCache classes)
    {
        JsonObject? spec = pod.Map("spec");
        string name = spec.Text("priorityClassName") ?? "";
        bool labelled = IsBatch(pod), classed = name.Length > 0 && IsBatchClass(name, classes);
        if (spec is null || !(labelled || classed))
            return null;
        if (labelled && name.Length > 0 && !classed)
            return MetaRules.Cause("FieldValueInvalid", "spec.priorityClassName", $"Invalid value: \"{name}\": it is a class of online pods and this pod is batch: leave it out, or name a PriorityClass with the label {WellKnown.QosLabel}: {WellKnown.QosBatch}");
        pod.Ensure("metadata").Ensure("labels")[WellKnown.QosLabel] = WellKnown.QosBatch;
        if (name.Length == 0)
            spec["priorityClassName"] = WellKnown.BatchClass;
        Convert(pod);
        return null;
    }

    /// <summary>Writes what a batch pod asks for in batch resources; the same again changes nothing, so a manifest can be applied again.</summary>
    public static void Convert(JsonObject pod)
    {
        if (!IsBatch(pod))
            return;
        foreach (string list in (ReadOnlySpan<string>)["containers", "initContainers"])
            foreach (JsonNode? container in pod.Map("spec").List(list) ?? [])
                foreach (string amounts in (ReadOnlySpan<string>)["requests", "limits"])
                    if ((container as JsonObject).Map("resources").Map(amounts) is { } map)
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

    private static bool IsBatch(JsonObject document) => document.Map("metadata").Map("labels").Text(WellKnown.QosLabel) == WellKnown.QosBatch;

    private static bool IsBatchClass(string name, ResourceCache classes) =>
        classes.Get(Keys.Local(null, name)) is { } found ? found.Object.Metadata.Label(WellKnown.QosLabel) == WellKnown.QosBatch : name == WellKnown.BatchClass;
}
