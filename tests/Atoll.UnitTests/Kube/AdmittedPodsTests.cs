using System.Text;
using System.Text.Json.Nodes;
using Atoll.Kube.Resources;

namespace Atoll.UnitTests.Kube;

/// <summary>Pods of one template are admitted once: what comes after looks as if each had gone the long way.</summary>
public sealed class AdmittedPodsTests : HttpTestBase
{
    private const string Uid = "00000000-0000-4000-8000-000000000001", Now = "2026-01-02T03:04:05Z", Path = "/api/v1/namespaces/default/pods";

    private static string Body(string name, string more = "") =>
        $$$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{{name}}}}","labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"i:1","resources":{"limits":{"cpu":1}}}]{{{{more}}}} } }""";

    private static string Stored(string name) => $$"""{"metadata":{"uid":"{{Uid}}","name":"{{name}}","creationTimestamp":"{{Now}}"},"spec":{"x":"{{name.Length}}"} }""";

    [Fact]
    public void A_template_is_used_after_a_second_pod_came_out_as_foretold()
    {
        var admitted = new AdmittedPods();
        Assert.Null(Make(admitted, 7, "web-1"));
        Learn(admitted, 7, "web-1");
        Assert.Null(Make(admitted, 7, "web-2"));
        Learn(admitted, 7, "web-2");
        Assert.Equal(Stored("web-3"), Make(admitted, 7, "web-3"));
        Assert.Null(Make(admitted, 8, "web-3")); // A class changed meanwhile.
        Assert.Null(admitted.TryMake("other", 7, Utf8(Body("web-3")), Uid, Now, out _));
        Assert.Null(Make(admitted, 7, "web-3\",\"x\":\"")); // Not a name, but more of the document.
    }

    [Fact]
    public void One_that_depends_on_the_name_is_never_used()
    {
        var admitted = new AdmittedPods();
        for (int length = 1; length < 5; length++)
        {
            Learn(admitted, 7, new string('a', length)); // The stored form tells how long the name is.
            Assert.Null(Make(admitted, 7, "b" + new string('a', length)));
        }
    }

    [Fact]
    public void The_oldest_go_when_there_are_too_many_and_large_ones_are_not_kept()
    {
        var admitted = new AdmittedPods();
        for (int i = 0; i <= AdmittedPods.Most; i++)
            for (int twice = 0; twice < 2; twice++)
                admitted.Learn($"ns-{i}", 7, Utf8(Body("web-1")), Utf8(Stored("web-1")), Uid, Now);
        Assert.Null(admitted.TryMake("ns-0", 7, Utf8(Body("web-2")), Uid, Now, out _));
        Assert.NotNull(admitted.TryMake("ns-1", 7, Utf8(Body("web-2")), Uid, Now, out string name));
        Assert.Equal("web-2", name);
        string large = Body("web-1", new string(' ', AdmittedPods.MaxBodyBytes));
        for (int twice = 0; twice < 2; twice++)
            admitted.Learn("default", 7, Utf8(large), Utf8(Stored("web-1")), Uid, Now);
        Assert.Null(admitted.TryMake("default", 7, Utf8(large), Uid, Now, out _));
    }

    [Fact]
    public async Task All_pods_of_a_template_are_alike_and_each_is_checked()
    {
        string[] pods = await Task.WhenAll(Enumerable.Range(0, 6).Select(async i => Plain(await Expect(201, "POST", Path, Body($"web-{i}")))));
        Assert.Single(pods.Distinct());
        JsonObject last = await Expect(201, "POST", Path, Body("web-9"));
        Assert.Equal(pods[0], Plain(last));
        Assert.Equal(Plain(last), Plain(await Expect(200, "GET", Path + "/web-9")));
        await Expect(409, "POST", Path, Body("web-9"));
        await Expect(422, "POST", Path, Body("-web-9"));
        await Expect(404, "POST", "/api/v1/namespaces/none/pods", Body("web-9"));
        await Expect(403, "POST", Path, Body("web-10"), token: "nobody");
        await Expect(201, "POST", Path + "?dryRun=All", Body("web-10"));
        await Expect(404, "GET", Path + "/web-10");
        await Expect(201, "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", """{"metadata":{"name":"usual"},"value":7,"globalDefault":true}""");
        Assert.Equal(7, (int)(await Expect(201, "POST", Path, Body("web-10")))["spec"]!["priority"]!);
    }

    [Fact]
    public async Task A_warning_comes_with_each_pod()
    {
        for (int i = 0; i < 4; i++)
        {
            (int code, _, HttpResponseMessage response) = await Send("POST", Path, Body($"web-{i}", ",\"sepc\":1"));
            Assert.Equal((201, "299 - \"unknown field \\\"spec.sepc\\\"\""), (code, response.Headers.GetValues("Warning").Single()));
        }
    }

    private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);

    private static string? Make(AdmittedPods admitted, long classes, string name) =>
        admitted.TryMake("default", classes, Utf8(Body(name)), Uid, Now, out _) is { } document ? Encoding.UTF8.GetString(document) : null;

    private static void Learn(AdmittedPods admitted, long classes, string name) => admitted.Learn("default", classes, Utf8(Body(name)), Utf8(Stored(name)), Uid, Now);

    private static string Plain(JsonObject made)
    {
        JsonNode pod = made.DeepClone();
        foreach (string field in (string[])["name", "uid", "creationTimestamp", "resourceVersion"])
            Assert.True(pod["metadata"]!.AsObject().Remove(field));
        return pod.ToJsonString();
    }
}
