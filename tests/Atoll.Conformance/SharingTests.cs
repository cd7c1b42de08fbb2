namespace Atoll.Conformance;

/// <summary>
/// Kinds of the scheduling centre through kubectl: pod groups, elastic quotas, reservations, profiles, and what they do. Not beside the
/// tests that cordon a node: the pods of a reservation there would go to the other one.
/// </summary>
[Collection(nameof(RolloutTests))]
public sealed class SharingTests(Cluster cluster)
{
    // Manifests begin with a comment: what begins with a brace is JSON to kubectl.

    public static TheoryData<string> Kubectls() => Kubectl.All();

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task A_pod_group_starts_together(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        if (await ReadTests.IsNewAsync(kubectl)) // An old one needs OpenAPI v2.
            Assert.Contains("minMember", await kubectl.OkAsync("explain", "podgroup.spec", "--api-version=scheduling.x-k8s.io/v1alpha1"), StringComparison.Ordinal);
        await kubectl.FeedAsync(Pod("m1", "scheduling.x-k8s.io/pod-group: g"), "create", "-f", "-");
        await kubectl.UntilAsync("does not exist: create it", "describe", "pod", "m1");
        string refused = await FailAsync(kubectl, "# yaml\n{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {name: g}, spec: {minMember: 0}}");
        Assert.Contains("spec.minMember: Invalid value: 0: must be between 1 and 5000", refused, StringComparison.Ordinal);
        await kubectl.FeedAsync("# yaml\n{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {name: g}, spec: {minMember: 2}}", "create", "-f", "-");
        await kubectl.UntilAsync("has 1 of the 2 members that it needs", "describe", "pod", "m1");
        await kubectl.UntilAsync("Pending", "get", "podgroups");
        await kubectl.FeedAsync(Pod("m2", "scheduling.x-k8s.io/pod-group: g"), "create", "-f", "-");
        await kubectl.OkAsync("wait", "--for=condition=Ready", "pod/m1", "pod/m2", "--timeout=60s");
        Assert.Matches(@"NAME +PHASE +MINMEMBER +SCHEDULED +RUNNING +SUCCEEDED +FAILED +AGE\ng +Running +2 +2 +2 +0 +0 ", await kubectl.UntilAsync("Running", "get", "pg", "g"));
        Assert.Contains("2 of the 2 members that it needs have had their nodes.", await kubectl.OkAsync("describe", "podgroup", "g"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task A_quota_holds_and_shows_what_is_used(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        if (await ReadTests.IsNewAsync(kubectl)) // An old one needs OpenAPI v2.
            Assert.Contains("parent", await kubectl.OkAsync("explain", "elasticquota.spec"), StringComparison.Ordinal);
        Assert.Contains("must be less than or equal to max of 10m", await FailAsync(kubectl, Quota("min: {cpu: 20m}, max: {cpu: 10m}")), StringComparison.Ordinal);
        await kubectl.FeedAsync(Quota("min: {cpu: 5m}, max: {cpu: 15m}"), "create", "-f", "-");
        await kubectl.FeedAsync(Pod("a", "app: a"), "create", "-f", "-");
        await kubectl.OkAsync("wait", "--for=condition=Ready", "pod/a", "--timeout=60s");
        await kubectl.FeedAsync(Pod("b", "app: b"), "create", "-f", "-");
        await kubectl.UntilAsync("is used up (cpu: 10m used + 10m asked > 15m at most)", "describe", "pod", "b");
        await kubectl.UntilAsync("cpu: 10m   cpu: 5m   cpu: 15m", "get", "elasticquotas");
        Assert.Contains("Its guarantee holds.", await kubectl.OkAsync("describe", "eq", "q"), StringComparison.Ordinal);
        await kubectl.OkAsync("patch", "eq", "q", "--type=merge", "-p", """{"spec":{"max":{"cpu":"20m"}}}""");
        await kubectl.UntilAsync("Running", "get", "pod", "b", "-o", "jsonpath={.status.phase} {.status.conditions[*].message}");
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task A_reservation_keeps_room_and_a_profile_serves_its_schedulerName(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        string name = kubectl.Namespace;
        if (await ReadTests.IsNewAsync(kubectl)) // An old one needs OpenAPI v2.
            Assert.Contains("owners", await kubectl.OkAsync("explain", "reservation.spec"), StringComparison.Ordinal);
        Assert.Contains("spec.owners: Required value", await FailAsync(kubectl, $"# yaml\n{{apiVersion: edge.atoll.dev/v1alpha1, kind: Reservation, metadata: {{name: {name}}}, spec: {{resources: {{cpu: 10m}}, owners: []}}}}"), StringComparison.Ordinal);
        await kubectl.FeedAsync($"# yaml\n{{apiVersion: edge.atoll.dev/v1alpha1, kind: Reservation, metadata: {{name: {name}}}, spec: {{resources: {{cpu: 50m}}, owners: [{{namespace: {name}}}]}}}}", "create", "-f", "-");
        Assert.Matches(@"Available +node-[ab] +cpu: 50m +cpu: 0 +24h|Available +node-[ab] +cpu: 50m +cpu: 0 +23h", await kubectl.UntilAsync("cpu: 0", "get", "reservations", name));
        await kubectl.FeedAsync(Pod("own", "app: own"), "create", "-f", "-");
        await kubectl.OkAsync("wait", "--for=condition=Ready", "pod/own", "--timeout=60s");
        await kubectl.UntilAsync($"{name}/own", "describe", "reservation", name);
        Assert.Equal(name, await kubectl.OkAsync("get", "pod", "own", "-o", @"jsonpath={.metadata.annotations.edge\.atoll\.dev/reservation}"));
        await kubectl.FeedAsync(Pod("other", "app: other", "schedulerName: " + name + ", "), "create", "-f", "-");
        string Profile(string score) => $"# yaml\n{{apiVersion: edge.atoll.dev/v1alpha1, kind: SchedulerProfile, metadata: {{name: {name}}}, spec: {{weights: {{{score}: 7}}}}}}";
        Assert.Contains("spec.weights[Foo]: Unsupported value", await FailAsync(kubectl, Profile("Foo")), StringComparison.Ordinal);
        await kubectl.FeedAsync(Profile("NodeAffinity"), "create", "-f", "-");
        await kubectl.OkAsync("wait", "--for=condition=Ready", "pod/other", "--timeout=60s");
        await kubectl.OkAsync("delete", "reservation,schedulerprofile", name);
    }

    private static async Task<string> FailAsync(Kubectl kubectl, string manifest)
    {
        Kubectl.Outcome outcome = await kubectl.RunAsync(System.Text.Encoding.UTF8.GetBytes(manifest), "create", "-f", "-");
        Assert.NotEqual(0, outcome.Code);
        return outcome.Error;
    }

    private static string Quota(string spec) => $"# yaml\n{{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: ElasticQuota, metadata: {{name: q}}, spec: {{{spec}}}}}";

    private static string Pod(string name, string label, string more = "") =>
        $"# yaml\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{{label}}}}}, spec: {{{more}containers: [{{name: c, image: \"local:1\", resources: {{requests: {{cpu: 10m}}}}}}]}}}}";
}
