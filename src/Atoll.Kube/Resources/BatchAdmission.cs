using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>
/// A new pod that is batch, by the label <c>edge.atoll.dev/qos: batch</c> or by a PriorityClass that has this label, asks for
/// <c>edge.atoll.dev/batch-cpu</c> and <c>batch-memory</c> wherever it was written with <c>cpu</c> and <c>memory</c>: from here on
/// it is an ordinary pod with extended resources to everybody, and nothing that online pods may be sold is counted for it.
/// </summary>
internal static class BatchAdmission
{
    /// <summary>Fills label, class and resources in, or says that the pod's class is one of online pods.</summary>
    public static StatusCause? Fill(JsonObject pod, ResourceCache classes)
    {
        JsonObject? spec = pod.Map("spec");
        string name = spec.Text("priorityClassName") ?? "";
        bool labelled = BatchResources.IsBatch(pod), classed = name.Length > 0 && IsBatchClass(name, classes);
        if (spec is null || !(labelled || classed))
            return null;
        if (labelled && name.Length > 0 && !classed)
            return MetaRules.Cause("FieldValueInvalid", "spec.priorityClassName", $"Invalid value: \"{name}\": it is a class of online pods and this pod is batch: leave it out, or name a PriorityClass with the label {WellKnown.QosLabel}: {WellKnown.QosBatch}");
        pod.Ensure("metadata").Ensure("labels")[WellKnown.QosLabel] = WellKnown.QosBatch;
        if (name.Length == 0)
            spec["priorityClassName"] = WellKnown.BatchClass;
        BatchResources.Convert(pod);
        return null;
    }

    private static bool IsBatchClass(string name, ResourceCache classes) =>
        classes.Get(Keys.Local(null, name)) is { } found ? found.Object.Metadata.Label(WellKnown.QosLabel) == WellKnown.QosBatch : name == WellKnown.BatchClass;
}
