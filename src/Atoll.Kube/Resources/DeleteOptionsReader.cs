using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Kube.Resources;

/// <summary>Reads meta/v1 DeleteOptions.</summary>
internal static class DeleteOptionsReader
{
    public static (DeleteOptions Options, ApiStatus? Error) Read(JsonObject? body)
    {
        if (body is null)
            return (DeleteOptions.Default, null);
        if (body.Text("kind") is { Length: > 0 } kind and not "DeleteOptions")
            return (DeleteOptions.Default, ApiStatus.BadRequest($"DeleteOptions are needed, not a {kind}"));
        if (body["gracePeriodSeconds"] is not null && body.Number("gracePeriodSeconds") is null)
            return (DeleteOptions.Default, ApiStatus.BadRequest("gracePeriodSeconds must be a whole number"));
        string? policy = body.Text("propagationPolicy");
        if (policy is null && body["orphanDependents"] is JsonValue orphan && orphan.GetValueKind() is JsonValueKind.True or JsonValueKind.False)
            policy = orphan.GetValue<bool>() ? "Orphan" : "Background";
        return (new DeleteOptions
        {
            GracePeriodSeconds = body.Number("gracePeriodSeconds"),
            PropagationPolicy = policy,
            Uid = body.Map("preconditions").Text("uid"),
            ResourceVersion = body.Map("preconditions").Text("resourceVersion"),
            DryRun = MetaRules.Names(body.List("dryRun")).Contains("All"),
        }, null);
    }
}
