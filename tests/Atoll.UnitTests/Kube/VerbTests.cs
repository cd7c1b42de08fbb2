using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Access;

namespace Atoll.UnitTests.Kube;

public sealed class VerbTests : KubeTestBase
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_created_object_has_identity_time_and_version_and_keeps_unknown_fields()
    {
        JsonObject sent = Pod("a", ",\"somethingNew\":{\"x\":1}");
        sent["metadata"]!["uid"] = "mine";
        KubeObject made = await Make(Kinds.Pod, sent);
        Assert.NotEqual("mine", made.Uid);
        Assert.Equal(Time.GetUtcNow(), made.Metadata.CreationTimestamp);
        KubeObject read = (await Read(Kinds.Pod, "a"))!;
        Assert.Equal(made.ResourceVersion, read.ResourceVersion);
        Assert.Equal(made.Utf8.ToArray(), read.Utf8.ToArray());
        Assert.Equal(1, (int)read.ToNode()["spec"]!["somethingNew"]!["x"]!);
        Assert.Equal("Pending", (string?)read.ToNode()["status"]!["phase"]);
    }

    [Fact]
    public async Task A_trusted_identity_sets_the_uid()
    {
        ApiResult made = await Server.As(Identity.Trusted("system:link")).CreateAsync(Kinds.ConfigMap, "default", Json("""{"metadata":{"name":"a","uid":"u-1"}}"""), Cancel);
        Assert.Equal("u-1", made.Object!.Uid);
    }

    [Fact]
    public async Task A_second_object_of_the_same_name_is_refused_and_a_generated_name_is_new()
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        ApiResult again = await Admin.CreateAsync(Kinds.ConfigMap, "default", ConfigMap("a"), Cancel);
        Assert.True(again.IsAlreadyExists);
        KubeObject one = await Make(Kinds.ConfigMap, Json("""{"metadata":{"generateName":"g-"}}"""));
        KubeObject two = await Make(Kinds.ConfigMap, Json("""{"metadata":{"generateName":"g-"}}"""));
        Assert.StartsWith("g-", one.Name, StringComparison.Ordinal);
        Assert.NotEqual(one.Name, two.Name);
    }

    [Fact]
    public async Task A_namespace_must_exist_and_not_end()
    {
        ApiResult missing = await Admin.CreateAsync(Kinds.ConfigMap, "nowhere", ConfigMap("a"), Cancel);
        Assert.Equal(404, missing.Error!.Code);
        await Make(Kinds.Namespace, Json("""{"metadata":{"name":"ending"}}"""));
        ApiResult deleted = await Admin.DeleteAsync(Kinds.Namespace, null, "ending", DeleteOptions.Default, Cancel);
        Assert.Equal("Terminating", (string?)deleted.Object!.ToNode()["status"]!["phase"]);
        ApiResult late = await Admin.CreateAsync(Kinds.ConfigMap, "ending", ConfigMap("a"), Cancel);
        Assert.Equal(403, late.Error!.Code);
        Assert.Equal("NamespaceTerminating", late.Error.Details!.Causes![0].Reason);
        JsonObject final = deleted.Object.ToNode();
        final["spec"] = new JsonObject { ["finalizers"] = new JsonArray() };
        Assert.True((await Admin.UpdateAsync(Kinds.Namespace, null, "ending", final, Cancel, "finalize")).Ok);
        Assert.Null(await Read(Kinds.Namespace, "ending"));
    }

    [Fact]
    public async Task An_update_against_an_older_version_conflicts()
    {
        KubeObject first = await Make(Kinds.ConfigMap, ConfigMap("a"));
        Assert.True((await Admin.UpdateAsync(Kinds.ConfigMap, "default", "a", ConfigMap("a", "2"), Cancel)).Ok);
        ApiResult stale = await Admin.UpdateAsync(Kinds.ConfigMap, "default", "a", first.ToNode(), Cancel);
        Assert.True(stale.IsConflict);
        Assert.Equal(409, stale.Error!.Code);
        JsonObject other = ConfigMap("a", "3");
        other["metadata"]!["uid"] = "another";
        Assert.True((await Admin.UpdateAsync(Kinds.ConfigMap, "default", "a", other, Cancel)).IsConflict);
    }

    [Fact]
    public async Task Nothing_changed_writes_nothing()
    {
        KubeObject made = await Make(Kinds.ConfigMap, ConfigMap("a"));
        long revision = Store.CurrentRevision;
        ApiResult same = await Admin.UpdateAsync(Kinds.ConfigMap, "default", "a", ConfigMap("a"), Cancel);
        Assert.Equal(made.ResourceVersion, same.Object!.ResourceVersion);
        Assert.Equal(revision, Store.CurrentRevision);
    }

    [Fact]
    public async Task Status_and_spec_have_their_own_doors()
    {
        await Make(Kinds.Deployment, Json("""{"metadata":{"name":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}},"status":{"replicas":9}}"""));
        JsonNode both = JsonNode.Parse("""{"spec":{"replicas":3},"status":{"replicas":7}}""")!;
        JsonObject main = (await Admin.PatchAsync(Kinds.Deployment, "default", "d", PatchType.Merge, both, Cancel)).Object!.ToNode();
        Assert.Equal(3, (int)main["spec"]!["replicas"]!);
        Assert.Null(main["status"]!["replicas"]);
        Assert.Equal(2, (int)main["metadata"]!["generation"]!);
        JsonObject status = (await Admin.PatchAsync(Kinds.Deployment, "default", "d", PatchType.Merge, JsonNode.Parse("""{"spec":{"replicas":5},"status":{"replicas":7}}""")!, Cancel, "status")).Object!.ToNode();
        Assert.Equal(3, (int)status["spec"]!["replicas"]!);
        Assert.Equal(7, (int)status["status"]!["replicas"]!);
        Assert.Equal(2, (int)status["metadata"]!["generation"]!);
    }

    [Fact]
    public async Task A_bound_pod_is_deleted_with_grace_and_an_unbound_one_at_once()
    {
        await Make(Kinds.Pod, Pod("free"));
        Assert.Null((await Admin.DeleteAsync(Kinds.Pod, "default", "free", DeleteOptions.Default, Cancel)).Object);
        await Make(Kinds.Pod, Pod("bound", ",\"terminationGracePeriodSeconds\":20"));
        JsonObject binding = Json("""{"metadata":{"name":"bound"},"target":{"kind":"Node","name":"n1"}}""");
        Assert.True((await Admin.CreateAsync(Kinds.Pod, "default", binding, Cancel, "bound", "binding")).Ok);
        Assert.True((await Admin.CreateAsync(Kinds.Pod, "default", binding, Cancel, "bound", "binding")).IsConflict);
        KubeObject waiting = (await Admin.DeleteAsync(Kinds.Pod, "default", "bound", DeleteOptions.Default, Cancel)).Object!;
        Assert.Equal(Time.GetUtcNow().AddSeconds(20), waiting.Metadata.DeletionTimestamp);
        Assert.Equal(20, waiting.Metadata.DeletionGracePeriodSeconds);
        KubeObject longer = (await Admin.DeleteAsync(Kinds.Pod, "default", "bound", new DeleteOptions { GracePeriodSeconds = 60 }, Cancel)).Object!;
        Assert.Equal(20, longer.Metadata.DeletionGracePeriodSeconds);
        KubeObject shorter = (await Admin.DeleteAsync(Kinds.Pod, "default", "bound", new DeleteOptions { GracePeriodSeconds = 5 }, Cancel)).Object!;
        Assert.Equal(5, shorter.Metadata.DeletionGracePeriodSeconds);
        Assert.Null((await Admin.DeleteAsync(Kinds.Pod, "default", "bound", new DeleteOptions { GracePeriodSeconds = 0 }, Cancel)).Object);
        Assert.Null(await Read(Kinds.Pod, "bound"));
    }

    [Fact]
    public async Task An_object_with_finalizers_stays_until_the_last_one_goes()
    {
        await Make(Kinds.ConfigMap, Json("""{"metadata":{"name":"a","finalizers":["x.dev/one","x.dev/two"]}}"""));
        KubeObject waiting = (await Admin.DeleteAsync(Kinds.ConfigMap, "default", "a", DeleteOptions.Default, Cancel)).Object!;
        Assert.True(waiting.IsDeleting);
        ApiResult adds = await Admin.PatchAsync(Kinds.ConfigMap, "default", "a", PatchType.Merge, JsonNode.Parse("""{"metadata":{"finalizers":["x.dev/one","x.dev/three"]}}""")!, Cancel);
        Assert.Equal(422, adds.Error!.Code);
        Assert.True((await Admin.PatchAsync(Kinds.ConfigMap, "default", "a", PatchType.Merge, JsonNode.Parse("""{"metadata":{"finalizers":["x.dev/two"]}}""")!, Cancel)).Ok);
        Assert.NotNull(await Read(Kinds.ConfigMap, "a"));
        Assert.True((await Admin.PatchAsync(Kinds.ConfigMap, "default", "a", PatchType.Merge, JsonNode.Parse("""{"metadata":{"finalizers":null}}""")!, Cancel)).Ok);
        Assert.Null(await Read(Kinds.ConfigMap, "a"));
    }

    [Theory]
    [InlineData("Foreground", "foregroundDeletion")]
    [InlineData("Orphan", "orphan")]
    public async Task Propagation_is_left_to_the_collector_as_a_finalizer(string policy, string finalizer)
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        KubeObject waiting = (await Admin.DeleteAsync(Kinds.ConfigMap, "default", "a", new DeleteOptions { PropagationPolicy = policy }, Cancel)).Object!;
        Assert.Equal([finalizer], waiting.Metadata.Finalizers!);
        Assert.True(waiting.IsDeleting);
    }

    [Fact]
    public async Task A_deletion_with_a_precondition_that_fails_changes_nothing()
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        Assert.True((await Admin.DeleteAsync(Kinds.ConfigMap, "default", "a", new DeleteOptions { Uid = "other" }, Cancel)).IsConflict);
        Assert.True((await Admin.DeleteAsync(Kinds.ConfigMap, "default", "a", new DeleteOptions { ResourceVersion = "1" }, Cancel)).IsConflict);
        Assert.True((await Admin.DeleteAsync(Kinds.ConfigMap, "default", "a", new DeleteOptions { DryRun = true }, Cancel)).Ok);
        Assert.NotNull(await Read(Kinds.ConfigMap, "a"));
    }

    [Fact]
    public async Task A_patch_without_a_version_is_made_again_when_it_loses_a_race()
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        int races = 3;
        Store.BeforeTransaction = async () =>
        {
            if (races-- <= 0)
                return;
            Func<Task> again = Store.BeforeTransaction!;
            Store.BeforeTransaction = null;
            await Admin.PatchAsync(Kinds.ConfigMap, "default", "a", PatchType.Merge, JsonNode.Parse($$$"""{"data":{"race{{{races}}}":"1"}}""")!, Cancel);
            Store.BeforeTransaction = again;
        };
        JsonObject after = (await Admin.PatchAsync(Kinds.ConfigMap, "default", "a", PatchType.Merge, JsonNode.Parse("""{"data":{"mine":"1"}}""")!, Cancel)).Object!.ToNode();
        Assert.Equal(["k", "race2", "race1", "race0", "mine"], after["data"]!.AsObject().Select(pair => pair.Key));
    }
}
