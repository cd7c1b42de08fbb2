using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.EndToEnd.Pods;

/// <summary>Claims as a container's own processes see them, and what is left on disk; the centre's controllers are played.</summary>
[Collection("pods")]
public sealed class VolumeTests(PodNode node)
{
    [Fact]
    public async Task What_a_pod_writes_into_its_claim_outlives_it_until_the_volume_is_erased()
    {
        string uid = (await node.CreateAsync(Kinds.PersistentVolumeClaim, PodNode.Json("""{"metadata":{"name":"keep"},"spec":{"accessModes":["ReadWriteOnce"],"volumeName":"pvc-keep","resources":{"requests":{"storage":"1Gi"}}}}"""))).Uid;
        const string mounts = """{"volumeMounts":[{"name":"d","mountPath":"/d"}]}""", volumes = """{"restartPolicy":"Never","volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"keep"}}]}""";
        await node.ScriptAsync("keep-a", "echo one > /d/file; id -u > /d/id", mounts, volumes);
        await node.UntilAsync("keep-a", p => p.Status?.ContainerStatuses?[0].State?.Waiting?.Reason == "ContainerCreating", "waiting for its volume");
        ApiResult made = await node.Api.CreateAsync(Kinds.PersistentVolume, null, PodNode.Json($$$$$"""
            {"metadata":{"name":"pvc-keep","annotations":{"{{{{{StorageNames.ProvisionedBy}}}}}":"{{{{{StorageNames.LocalProvisioner}}}}}"},"finalizers":["{{{{{StorageNames.ErasedByNode}}}}}"]},
             "spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"local":{"path":"volumes/pvc-keep"},"claimRef":{"namespace":"default","name":"keep","uid":"{{{{{uid}}}}}"},
              "nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["{{{{{node.Name}}}}}"]}]}]}}}}
            """), default);
        Assert.Null(made.Error);
        await node.PhaseAsync("keep-a", "Succeeded");
        await node.DeleteAsync("keep-a");
        Assert.Equal("one\n", await node.RunAsync("keep-b", "cat /d/file", mounts, volumes));
        await node.DeleteAsync("keep-b");

        string folder = Path.Join(node.StateFolder, "volumes", "pvc-keep");
        Assert.True(File.Exists(Path.Join(folder, "file")));
        await node.Api.PatchAsync(Kinds.PersistentVolume, null, "pvc-keep", PatchType.Merge, PodNode.Json($$$$$"""{"metadata":{"finalizers":["{{{{{StorageNames.ErasedByNode}}}}}"]}}"""), default);
        await node.Api.DeleteAsync(Kinds.PersistentVolume, null, "pvc-keep", DeleteOptions.Default, default);
        await PodNode.UntilAsync(async () => (await node.Api.GetAsync(Kinds.PersistentVolume, null, "pvc-keep", default)).Object?.View(ApiJson.Default.PersistentVolume).Status?.Reason == StorageNames.Erased, "the volume to be erased");
        Assert.False(Directory.Exists(folder));
    }
}
