using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Conformance;

/// <summary>Nodes that say of every pod placed on them that it runs (a Job's: that it succeeded), and let it go when it is deleted.</summary>
internal sealed class PretendNodes(IResources resources)
{
    private string[] _nodes = [];

    public async Task RegisterAsync(string[] nodes, CancellationToken cancellation)
    {
        _nodes = nodes;
        foreach (string node in nodes)
        {
            await resources.CreateAsync(Kinds.Node, null, new JsonObject
            {
                ["apiVersion"] = "v1",
                ["kind"] = "Node",
                ["metadata"] = new JsonObject { ["name"] = node, ["labels"] = new JsonObject { ["kubernetes.io/hostname"] = node } },
            }, cancellation);
            await resources.PatchAsync(Kinds.Node, null, node, PatchType.Merge, Parse("""
                {"status":{"capacity":{"cpu":"4","memory":"8Gi","pods":"110"},"allocatable":{"cpu":"4","memory":"8Gi","pods":"110"},
                 "conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"ready"}],
                 "nodeInfo":{"kubeletVersion":"v1.32.0","osImage":"Test","kernelVersion":"6","containerRuntimeVersion":"test://1","architecture":"amd64","operatingSystem":"linux"},
                 "addresses":[{"type":"InternalIP","address":"127.0.0.1"}]}}
                """), cancellation, "status");
        }
    }

    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                ApiList list = await resources.ListAsync(Kinds.Pod, null, ListOptions.Default, cancellation);
                foreach (KubeObject pod in list.Items)
                    await ActAsync(pod, cancellation);
                await foreach (WatchEvent change in resources.WatchAsync(Kinds.Pod, null, new WatchOptions { ResourceVersion = list.ResourceVersion }, cancellation))
                    if (change is { Type: WatchEventType.Added or WatchEventType.Modified, Object: { } pod })
                        await ActAsync(pod, cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            // The cluster stops.
        }
    }

    private async Task ActAsync(KubeObject pod, CancellationToken cancellation)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        if (pod.IsDeleting)
            await resources.DeleteAsync(Kinds.Pod, pod.Namespace, pod.Name, new DeleteOptions { GracePeriodSeconds = 0, Uid = pod.Uid }, cancellation);
        else if (view.Spec.NodeName is { Length: > 0 } node && _nodes.Contains(node) && view.Status?.Phase is null or "Pending")
            await RunPodAsync(pod, view, cancellation);
    }

    private async Task RunPodAsync(KubeObject pod, Pod view, CancellationToken cancellation)
    {
        bool job = pod.Metadata.Controller()?.Kind == "Job";
        string now = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'");
        var containers = new JsonArray();
        foreach (Container container in view.Spec.Containers)
        {
            JsonObject state = job
                ? new JsonObject { ["terminated"] = new JsonObject { ["exitCode"] = 0, ["reason"] = "Completed", ["finishedAt"] = now } }
                : new JsonObject { ["running"] = new JsonObject { ["startedAt"] = now } };
            containers.Add(new JsonObject
            {
                ["name"] = container.Name,
                ["image"] = container.Image,
                ["imageID"] = "",
                ["containerID"] = "test://" + pod.Uid,
                ["ready"] = !job,
                ["started"] = true,
                ["restartCount"] = 0,
                ["state"] = state,
            });
        }
        string ready = job ? "False" : "True";
        var conditions = new JsonArray();
        foreach ((string type, string value) in new[] { ("PodScheduled", "True"), ("Initialized", "True"), ("ContainersReady", ready), ("Ready", ready) })
            conditions.Add(new JsonObject { ["type"] = type, ["status"] = value, ["lastTransitionTime"] = now });
        var status = new JsonObject
        {
            ["status"] = new JsonObject
            {
                ["phase"] = job ? "Succeeded" : "Running",
                ["startTime"] = now,
                ["podIP"] = "10.0.0.1",
                ["hostIP"] = "127.0.0.1",
                ["conditions"] = conditions,
                ["containerStatuses"] = containers,
            },
        };
        await resources.PatchAsync(Kinds.Pod, pod.Namespace, pod.Name, PatchType.Merge, status, cancellation, "status");
    }

    private static JsonObject Parse(string text) => JsonNode.Parse(text)!.AsObject();
}
