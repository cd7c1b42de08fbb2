using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Orchestration;

/// <summary>Claims and volumes, step by step.</summary>
public sealed class VolumeTests
{
    private const string Nowhere = "\"accessModes\":[\"ReadWriteOnce\"]";

    [Fact]
    public async Task A_claim_takes_the_smallest_volume_that_suits_and_gives_it_back_as_its_policy_says()
    {
        using var world = new World();
        await VolumeAsync(world, "small", "1Mi", "Retain");
        await VolumeAsync(world, "right", "2Gi", "Retain");
        await VolumeAsync(world, "big", "9Gi", "Retain");
        await ClaimAsync(world, "c", "manual");
        await world.SettleAsync();
        Assert.Equal(("right", "Bound"), (Claim(world, "c").Spec.VolumeName, Claim(world, "c").Status?.Phase));
        Assert.Equal(("Bound", "Available", "Available"), (Phase(world, "right"), Phase(world, "small"), Phase(world, "big")));
        await world.Api.DeleteAsync(Kinds.PersistentVolumeClaim, "default", "c", DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.Null(world.Api.Find(Kinds.PersistentVolumeClaim, "default/c"));
        Assert.Equal("Released", Phase(world, "right"));
        // What was released is not given to somebody else with its data.
        await ClaimAsync(world, "d", "manual");
        await world.SettleAsync();
        Assert.Equal("big", Claim(world, "d").Spec.VolumeName);
    }

    [Fact]
    public async Task A_volume_is_made_where_the_pod_went_kept_while_a_pod_uses_it_and_gone_when_its_node_erased_it()
    {
        using var world = new World();
        await world.Api.CreateAsync(Kinds.StorageClass, null, Json("""{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"local"},"provisioner":"edge.atoll.dev/local","reclaimPolicy":"Delete","volumeBindingMode":"WaitForFirstConsumer"}"""), default);
        await ClaimAsync(world, "c", "local");
        await world.SettleAsync();
        Assert.Equal("Pending", Claim(world, "c").Status?.Phase);
        await world.Api.PatchAsync(Kinds.PersistentVolumeClaim, "default", "c", PatchType.Merge, Json($$$$$"""{"metadata":{"annotations":{"{{{{{StorageNames.SelectedNode}}}}}":"n1"}}}"""), default);
        await world.SettleAsync();
        string name = Claim(world, "c").Spec.VolumeName!;
        KubeObject volume = world.Api.Find(Kinds.PersistentVolume, name)!;
        Assert.Equal(("Bound", "n1"), (Claim(world, "c").Status?.Phase, StorageFacts.NodeOfProvisioned(volume)));

        await world.Api.CreateAsync(Kinds.Pod, "default", Json("""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}],"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"c"}}]}}"""), default);
        await world.Api.DeleteAsync(Kinds.PersistentVolumeClaim, "default", "c", DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.True(world.Api.Find(Kinds.PersistentVolumeClaim, "default/c")!.IsDeleting);
        await world.Api.DeleteAsync(Kinds.Pod, "default", "p", new DeleteOptions { GracePeriodSeconds = 0 }, default);
        await world.SettleAsync();
        Assert.Null(world.Api.Find(Kinds.PersistentVolumeClaim, "default/c"));
        KubeObject going = world.Api.Find(Kinds.PersistentVolume, name)!;
        Assert.True(going.IsDeleting);
        Assert.Equal([StorageNames.ErasedByNode], going.Metadata.Finalizers);
        // With its node its disk is gone.
        await world.Api.DeleteAsync(Kinds.Node, null, "n1", DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.Null(world.Api.Find(Kinds.PersistentVolume, name));
    }

    [Fact]
    public async Task A_volume_set_aside_by_people_goes_to_its_claim_and_a_claim_whose_volume_is_gone_is_lost()
    {
        using var world = new World();
        await VolumeAsync(world, "tiny", "1Mi", "Retain");
        await VolumeAsync(world, "kept", "5Gi", "Retain", """ ,"claimRef":{"namespace":"default","name":"c"} """);
        await ClaimAsync(world, "c", "manual");
        await world.SettleAsync();
        Assert.Equal("kept", Claim(world, "c").Spec.VolumeName);
        await world.Api.PatchAsync(Kinds.PersistentVolume, null, "kept", PatchType.Merge, Json("""{"metadata":{"finalizers":[]}}"""), default);
        await world.Api.DeleteAsync(Kinds.PersistentVolume, null, "kept", DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.Equal("Lost", Claim(world, "c").Status?.Phase);
    }

    private static async Task VolumeAsync(World world, string name, string size, string policy, string more = "")
    {
        ApiResult made = await world.Api.CreateAsync(Kinds.PersistentVolume, null, Json($$$$$"""{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"{{{{{name}}}}}","finalizers":["kubernetes.io/pv-protection"]},"spec":{ {{{{{Nowhere}}}}},"storageClassName":"manual","capacity":{"storage":"{{{{{size}}}}}"},"persistentVolumeReclaimPolicy":"{{{{{policy}}}}}","hostPath":{"path":"/d"} {{{{{more}}}}} } }"""), default);
        Assert.Null(made.Error);
    }

    private static async Task ClaimAsync(World world, string name, string storageClass) =>
        Assert.Null((await world.Api.CreateAsync(Kinds.PersistentVolumeClaim, "default", Json($$$$$"""{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"{{{{{name}}}}}","finalizers":["kubernetes.io/pvc-protection"]},"spec":{ {{{{{Nowhere}}}}},"storageClassName":"{{{{{storageClass}}}}}","resources":{"requests":{"storage":"1Gi"}} } }"""), default)).Error);

    private static PersistentVolumeClaim Claim(World world, string name) => world.Api.Find(Kinds.PersistentVolumeClaim, "default/" + name)!.View(ApiJson.Default.PersistentVolumeClaim);

    private static string? Phase(World world, string name) => world.Api.Find(Kinds.PersistentVolume, name)!.View(ApiJson.Default.PersistentVolume).Status?.Phase;

    private static JsonObject Json(string text) => JsonNode.Parse(text)!.AsObject();
}
