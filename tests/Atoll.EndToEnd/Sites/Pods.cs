using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>Manifests of test pods.</summary>
internal static class Pods
{
    internal const string Image = "registry.local:5000/hello:1";

    private static int s_mark = 860_000;

    /// <summary>A number that no other process on this machine has as its last argument.</summary>
    internal static string Mark() => $"{Environment.ProcessId % 10_000}{Interlocked.Increment(ref s_mark)}";

    /// <summary>A pod whose main process is <c>sleep MARK</c>, which ends at once when asked.</summary>
    internal static JsonObject Sleeping(string name, RigSite site, string mark, string before = ":") =>
        Running(name, site, ["/bin/sh", "-c", $"{before}; exec sleep {mark}"]);

    internal static JsonObject Running(string name, RigSite site, IReadOnlyList<string> command) => new()
    {
        ["apiVersion"] = "v1",
        ["kind"] = "Pod",
        ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = "default" },
        ["spec"] = new JsonObject
        {
            ["nodeName"] = site.Name,
            ["terminationGracePeriodSeconds"] = 1,
            ["containers"] = new JsonArray(new JsonObject
            {
                ["name"] = "main",
                ["image"] = Image,
                ["command"] = new JsonArray([.. command.Select(c => (JsonNode)c)]),
            }),
        },
    };

    internal static JsonObject Container(JsonObject pod) => pod["spec"]!["containers"]![0]!.AsObject();

    internal static JsonObject With(this JsonObject pod, Action<JsonObject, JsonObject> change)
    {
        change(pod["spec"]!.AsObject(), Container(pod));
        return pod;
    }
}
