using System.Net;
using k8s;
using k8s.Autorest;
using k8s.Models;

namespace Atoll.Conformance;

/// <summary>The official C# client.</summary>
public sealed class CSharpClientTests(Cluster cluster)
{
    [Fact]
    public async Task Creates_lists_watches_patches_and_deletes()
    {
        using var client = new Kubernetes(KubernetesClientConfiguration.BuildConfigFromConfigFile(cluster.Kubeconfig));
        string ns = "csharp-client";
        await client.CoreV1.CreateNamespaceAsync(new V1Namespace { Metadata = new V1ObjectMeta { Name = ns } });
        V1ConfigMapList empty = await client.CoreV1.ListNamespacedConfigMapAsync(ns, labelSelector: "mine=1");
        Assert.Empty(empty.Items);

        var seen = new List<string>();
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        Task watching = Task.Run(async () =>
        {
            await foreach ((WatchEventType type, V1ConfigMap item) in client.CoreV1.WatchListNamespacedConfigMapAsync(ns, labelSelector: "mine=1", resourceVersion: empty.Metadata.ResourceVersion, cancellationToken: late.Token))
            {
                seen.Add($"{type} {item.Metadata.Name} {item.Data["a"]}");
                if (type == WatchEventType.Deleted)
                    return;
            }
        });
        V1ConfigMap made = await client.CoreV1.CreateNamespacedConfigMapAsync(new V1ConfigMap { Metadata = new V1ObjectMeta { GenerateName = "c-", Labels = new Dictionary<string, string> { ["mine"] = "1" } }, Data = new Dictionary<string, string> { ["a"] = "b" } }, ns);
        string name = made.Metadata.Name;
        Assert.StartsWith("c-", name, StringComparison.Ordinal);
        await client.CoreV1.PatchNamespacedConfigMapAsync(new V1Patch("""{"data":{"a":"c"}}""", V1Patch.PatchType.MergePatch), name, ns);
        Assert.Equal("c", (await client.CoreV1.ReadNamespacedConfigMapAsync(name, ns)).Data["a"]);
        made.Data["a"] = "stale";
        HttpOperationException conflict = await Assert.ThrowsAsync<HttpOperationException>(() => client.CoreV1.ReplaceNamespacedConfigMapAsync(made, name, ns));
        Assert.Equal(HttpStatusCode.Conflict, conflict.Response.StatusCode);
        await client.CoreV1.DeleteNamespacedConfigMapAsync(name, ns);
        await watching.WaitAsync(late.Token);
        Assert.Equal([$"Added {name} b", $"Modified {name} c", $"Deleted {name} c"], seen);
    }

    [Fact]
    public async Task Executes_a_command_over_its_websocket()
    {
        using var client = new Kubernetes(KubernetesClientConfiguration.BuildConfigFromConfigFile(cluster.Kubeconfig));
        await client.CoreV1.CreateNamespacedPodAsync(new V1Pod { Metadata = new V1ObjectMeta { Name = "csharp-exec" }, Spec = new V1PodSpec { Containers = [new V1Container { Name = "main", Image = "local" }] } }, "default");
        while ((await client.CoreV1.ReadNamespacedPodAsync("csharp-exec", "default")).Status?.Phase != "Running")
            await Task.Delay(50, TestContext.Current.CancellationToken);
        string output = "";
        int code = await client.NamespacedPodExecAsync("csharp-exec", "default", "main", ["sh", "-c", "echo from-csharp; exit 5"], tty: false, async (_, stdout, _) =>
        {
            using var reader = new StreamReader(stdout);
            output = await reader.ReadToEndAsync();
        }, TestContext.Current.CancellationToken);
        Assert.Equal((5, "from-csharp\n"), (code, output));
    }
}
