using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Kube;

/// <summary>Volumes, claims and classes at the API: what is filled in, what is refused and how it is said.</summary>
public sealed class StorageTests : KubeTestBase
{
    private const string ClaimSpec = """ "accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}} """;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_claim_gets_the_default_class_and_its_protection()
    {
        await Make(Kinds.StorageClass, Json("""{"metadata":{"name":"local","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"edge.atoll.dev/local"}"""));
        KubeObject claim = await Make(Kinds.PersistentVolumeClaim, Json($$"""{"metadata":{"name":"c"},"spec":{ {{ClaimSpec}} } }"""));
        PersistentVolumeClaim view = claim.View(ApiJson.Default.PersistentVolumeClaim);
        Assert.Equal(("local", "Filesystem", "Pending"), (view.Spec.StorageClassName, view.Spec.VolumeMode, view.Status?.Phase));
        Assert.Equal([StorageNames.ClaimProtection], claim.Metadata.Finalizers);
        KubeObject none = await Make(Kinds.PersistentVolumeClaim, Json($$"""{"metadata":{"name":"d"},"spec":{"storageClassName":"", {{ClaimSpec}} } }"""));
        Assert.Equal("", none.View(ApiJson.Default.PersistentVolumeClaim).Spec.StorageClassName);
        Assert.Equal("WaitForFirstConsumer", (await Admin.GetAsync(Kinds.StorageClass, null, "local", Cancel)).Object!.View(ApiJson.Default.StorageClass).VolumeBindingMode);
    }

    [Theory]
    [InlineData("persistentvolumeclaims", """{"spec":{"resources":{"requests":{"storage":"1Gi"}}}}""", "spec.accessModes: Required value: at least 1 access mode is required")]
    [InlineData("persistentvolumeclaims", """{"spec":{"accessModes":["ReadWriteOnce"]}}""", "spec.resources[storage]: Required value")]
    [InlineData("persistentvolumeclaims", """{"spec":{"accessModes":["Sometimes"],"resources":{"requests":{"storage":"1Gi"}}}}""", "spec.accessModes[0]: Unsupported value: \"Sometimes\"")]
    [InlineData("persistentvolumeclaims", """{"spec":{"accessModes":["ReadWriteOnce"],"volumeMode":"Block","resources":{"requests":{"storage":"1Gi"}}}}""", "spec.volumeMode: Forbidden")]
    [InlineData("persistentvolumeclaims", """{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"0"}}}}""", "must be greater than zero")]
    [InlineData("persistentvolumes", """{"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"}}}""", "spec: Required value: must specify a volume type")]
    [InlineData("persistentvolumes", """{"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"local":{"path":"/d"}}}""", "spec.nodeAffinity: Required value: Local volume requires node affinity")]
    [InlineData("persistentvolumes", """{"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"nfs":{"server":"s","path":"/d"}}}""", "spec.nfs: Forbidden: Atoll mounts persistent volumes of local and hostPath")]
    [InlineData("persistentvolumes", """{"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"hostPath":{"path":"/a/../b"}}}""", "must not contain '..'")]
    [InlineData("storageclasses", """{"provisioner":"edge.atoll.dev/local","volumeBindingMode":"Immediate"}""", "volumeBindingMode: Invalid value: \"Immediate\"")]
    [InlineData("storageclasses", """{"provisioner":""}""", "provisioner: Required value")]
    public async Task What_is_wrong_is_said_with_its_field(string plural, string document, string expected)
    {
        JsonObject value = Json(document);
        value["metadata"] = new JsonObject { ["name"] = "x" };
        ResourceType type = Kinds.All.First(t => t.Plural == plural);
        ApiResult result = await Admin.CreateAsync(type, type.Namespaced ? "default" : null, value, Cancel);
        Assert.Equal(422, result.Error?.Code);
        Assert.Contains(expected, result.Error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_bound_does_not_change_under_its_pods()
    {
        await Make(Kinds.PersistentVolumeClaim, Json($$"""{"metadata":{"name":"c"},"spec":{"storageClassName":"a", {{ClaimSpec}} } }"""));
        Assert.Null((await Patch("c", """{"spec":{"volumeName":"v"}}""")).Error);
        Assert.Contains("spec is immutable after creation", (await Patch("c", """{"spec":{"volumeName":"w"}}""")).Error!.Message, StringComparison.Ordinal);
        Assert.Contains("field can not be less than previous value", (await Patch("c", """{"spec":{"resources":{"requests":{"storage":"1Mi"}}}}""")).Error!.Message, StringComparison.Ordinal);
        Assert.Contains("local volumes cannot grow", (await Patch("c", """{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}""")).Error!.Message, StringComparison.Ordinal);

        async Task<ApiResult> Patch(string name, string patch) => await Admin.PatchAsync(Kinds.PersistentVolumeClaim, "default", name, PatchType.Merge, Json(patch), Cancel);
    }
}
