using System.Text.Json.Nodes;

namespace Atoll.Kube.Schema.Defaults;

/// <summary>Defaults of the kinds that make pods.</summary>
internal static class WorkloadDefaults
{
    public static void Deployment(JsonObject document)
    {
        if (document.Ensure("spec") is not { } spec)
            return;
        Template(spec);
        spec.Default("replicas", 1);
        spec.Default("revisionHistoryLimit", 10);
        spec.Default("progressDeadlineSeconds", 600);
        if (spec.Ensure("strategy") is not { } strategy)
            return;
        strategy.Default("type", "RollingUpdate");
        if (strategy.Text("type") == "RollingUpdate" && strategy.Ensure("rollingUpdate") is { } rolling)
        {
            rolling.Default("maxSurge", "25%");
            rolling.Default("maxUnavailable", "25%");
        }
    }

    public static void ReplicaSet(JsonObject document)
    {
        if (document.Ensure("spec") is not { } spec)
            return;
        Template(spec);
        spec.Default("replicas", 1);
    }

    public static void Delivery(JsonObject document)
    {
        if (document.Ensure("spec") is not { } spec)
            return;
        // Without a template it is a question only.
        if (spec.Has("template"))
            Template(spec);
        spec.Default("minSites", 1);
        spec.Default("maxSharePercent", 100);
    }

    public static void DaemonSet(JsonObject document)
    {
        if (document.Ensure("spec") is not { } spec)
            return;
        Template(spec);
        spec.Default("revisionHistoryLimit", 10);
        if (spec.Ensure("updateStrategy") is not { } strategy)
            return;
        strategy.Default("type", "RollingUpdate");
        if (strategy.Text("type") == "RollingUpdate" && strategy.Ensure("rollingUpdate") is { } rolling)
        {
            rolling.Default("maxSurge", 0);
            rolling.Default("maxUnavailable", 1);
        }
    }

    public static void StatefulSet(JsonObject document)
    {
        if (document.Ensure("spec") is not { } spec)
            return;
        Template(spec);
        spec.Default("replicas", 1);
        spec.Default("podManagementPolicy", "OrderedReady");
        spec.Default("revisionHistoryLimit", 10);
        if (spec.Ensure("persistentVolumeClaimRetentionPolicy") is { } retention)
        {
            retention.Default("whenDeleted", "Retain");
            retention.Default("whenScaled", "Retain");
        }
        if (spec.Ensure("updateStrategy") is not { } strategy)
            return;
        strategy.Default("type", "RollingUpdate");
        if (strategy.Text("type") == "RollingUpdate" && strategy.Ensure("rollingUpdate") is { } rolling)
            rolling.Default("partition", 0);
    }

    public static void Job(JsonObject document)
    {
        if (document.Ensure("spec") is not { } spec)
            return;
        Template(spec);
        // Completions without a number and parallelism given is a work queue: any success ends it.
        if (!spec.Has("completions") && !spec.Has("parallelism"))
            spec["completions"] = 1;
        spec.Default("parallelism", 1);
        spec.Default("backoffLimit", spec.Has("backoffLimitPerIndex") ? int.MaxValue : 6);
        spec.Default("completionMode", "NonIndexed");
        spec.Default("suspend", false);
        spec.Default("manualSelector", false);
        spec.Default("podReplacementPolicy", spec.Has("podFailurePolicy") ? "Failed" : "TerminatingOrFailed");
        JobSelector(document, spec);
        if (spec.Object("template").Object("metadata").Object("labels") is { Count: > 0 } labels && document.Object("metadata") is { } metadata && metadata.Object("labels") is null or { Count: 0 } && metadata["labels"] is null or JsonObject)
            metadata["labels"] = labels.DeepClone();
    }

    /// <summary>A Job owns its pods by its own identity, in the new and the old spelling of the labels.</summary>
    private static void JobSelector(JsonObject document, JsonObject spec)
    {
        JsonObject? metadata = document.Object("metadata");
        if (spec.Bool("manualSelector") == true || metadata.Text("uid") is not { Length: > 0 } uid || metadata.Text("name") is not { Length: > 0 } name)
            return;
        if (spec.Ensure("template")?.Ensure("metadata")?.Ensure("labels") is { } labels)
        {
            labels.Default("batch.kubernetes.io/controller-uid", uid);
            labels.Default("batch.kubernetes.io/job-name", name);
            labels.Default("controller-uid", uid);
            labels.Default("job-name", name);
        }
        if (spec.Ensure("selector")?.Ensure("matchLabels") is { } match && !match.Has("controller-uid"))
            match.Default("batch.kubernetes.io/controller-uid", uid);
    }

    private static void Template(JsonObject spec)
    {
        if (spec.Object("template") is { } template && template.Ensure("spec") is { } pod)
            PodDefaults.Spec(pod);
    }
}
