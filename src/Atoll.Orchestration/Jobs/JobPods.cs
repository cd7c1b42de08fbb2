using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Jobs;

/// <summary>The pods of a Job.</summary>
internal static class JobPods
{
    private const string IndexVariable = "JOB_COMPLETION_INDEX";

    /// <summary>The document of a pod; with an index it carries it as label, annotation, host name and environment variable.</summary>
    public static JsonObject Document(KubeObject job, Job view, int index)
    {
        string prefix = index < 0 ? job.Name : $"{job.Name}-{index.ToString(CultureInfo.InvariantCulture)}";
        JsonObject pod = PodDocuments.FromTemplate(view.Spec.Template, job, PodDocuments.NamePrefix(prefix));
        JsonObject metadata = pod["metadata"]!.AsObject();
        JsonObject labels = PodDocuments.Child(metadata, "labels");
        foreach ((string key, string value) in new[]
        {
            ("batch.kubernetes.io/controller-uid", job.Uid), ("controller-uid", job.Uid), ("batch.kubernetes.io/job-name", job.Name), ("job-name", job.Name),
        })
            if (view.Spec.ManualSelector != true && labels[key] is null && value.Length <= 63)
                labels[key] = value;
        JsonArray finalizers = metadata["finalizers"] as JsonArray ?? [];
        metadata["finalizers"] = finalizers;
        finalizers.Add((JsonNode)JobView.Tracking);
        if (index >= 0)
            AddIndex(pod, labels, PodDocuments.Child(metadata, "annotations"), prefix, index.ToString(CultureInfo.InvariantCulture));
        return pod;
    }

    private static void AddIndex(JsonObject pod, JsonObject labels, JsonObject annotations, string hostname, string index)
    {
        labels[JobView.IndexKey] = index;
        annotations[JobView.IndexKey] = index;
        JsonObject spec = pod["spec"]!.AsObject();
        if (spec["hostname"] is null && hostname.Length <= 63)
            spec["hostname"] = hostname;
        foreach (string list in new[] { "initContainers", "containers" })
            foreach (JsonNode? container in spec[list] as JsonArray ?? [])
            {
                JsonArray env = container!["env"] as JsonArray ?? [];
                container["env"] = env;
                if (!env.Any(e => (string?)e?["name"] == IndexVariable))
                    env.Add((JsonNode)new JsonObject { ["name"] = IndexVariable, ["value"] = index });
            }
    }
}
