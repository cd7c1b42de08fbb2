using System.Text.Json.Nodes;
using Atoll.Api.Core;

namespace Atoll.Kube.Schema.Rules;

/// <summary>Batch pods and their PriorityClasses.</summary>
internal static class BatchRules
{
    private const string Metal = "metal";

    public static void Pod(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        string? qos = Qos(document);
        FieldPath label = FieldPath.Root.Child("metadata", "labels").Key(WellKnown.QosLabel);
        if (old is not null)
        {
            if (qos != Qos(old))
                errors.Forbidden(label, "may not be changed after creation: make another pod");
            return;
        }
        bool batch = qos == WellKnown.QosBatch;
        if (qos is not null && !batch)
            errors.NotSupported(label, qos, WellKnown.QosBatch);
        JsonObject? spec = document.Object("spec");
        if (batch && spec.Text("runtimeClassName") == Metal)
            errors.Forbidden(FieldPath.Root.Child("spec", "runtimeClassName"), "a batch pod shares its node with online pods: it cannot take a whole one");
        foreach (string list in (ReadOnlySpan<string>)["containers", "initContainers"])
            foreach ((int i, JsonObject container) in spec.Objects(list))
                Resources(container.Object("resources"), batch, list == "containers", FieldPath.Root.Child("spec", list).Index(i).Child("resources"), errors);
    }

    public static void PriorityClass(JsonObject document, FieldErrors errors)
    {
        if (Qos(document) is not { } qos)
            return;
        if (qos != WellKnown.QosBatch)
            errors.NotSupported(FieldPath.Root.Child("metadata", "labels").Key(WellKnown.QosLabel), qos, WellKnown.QosBatch);
        if ((document.Long("value") ?? 0) >= 0)
            errors.Invalid(FieldPath.Root.Child("value"), document["value"], "must be less than 0 for batch pods: online pods come first");
        if (document.Text("preemptionPolicy") != "Never")
            errors.Invalid(FieldPath.Root.Child("preemptionPolicy"), document["preemptionPolicy"], "must be Never for batch pods");
        if (document["globalDefault"]?.GetValueKind() == System.Text.Json.JsonValueKind.True)
            errors.Forbidden(FieldPath.Root.Child("globalDefault"), "a class of batch pods cannot be the default of all pods");
    }

    private static void Resources(JsonObject? resources, bool batch, bool needed, FieldPath path, FieldErrors errors)
    {
        foreach (string list in (ReadOnlySpan<string>)["requests", "limits"])
            foreach (KeyValuePair<string, JsonNode?> pair in resources.Object(list) ?? [])
                if (batch && pair.Key is "cpu" or "memory")
                    errors.Forbidden(path.Child(list).Key(pair.Key), $"a batch pod gets edge.atoll.dev/batch-{pair.Key} for it: give one of the two");
                else if (batch && pair.Key == WellKnown.Compute)
                    errors.Forbidden(path.Child(list).Key(pair.Key), "normalised cores are sold to online pods: ask for cpu");
                else if (!batch && pair.Key is WellKnown.BatchCpu or WellKnown.BatchMemory)
                    errors.Forbidden(path.Child(list).Key(pair.Key), $"is for batch pods: give the pod the label {WellKnown.QosLabel}: {WellKnown.QosBatch}");
        if (!batch || !needed)
            return;
        foreach (string name in (ReadOnlySpan<string>)["cpu", "memory"])
            if (!Has("requests", name) && !Has("limits", name))
                errors.Required(path.Child("requests").Key(name), "a batch pod says how much it takes of what online pods leave");

        bool Has(string list, string name) => resources.Object(list) is { } amounts && (amounts.Has(name) || amounts.Has("edge.atoll.dev/batch-" + name));
    }

    private static string? Qos(JsonObject document) => document.Object("metadata").Object("labels").Text(WellKnown.QosLabel);
}
