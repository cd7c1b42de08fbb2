using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Kube.Resources;

/// <summary>Reads meta/v1 DeleteOptions.</summary>
internal static class DeleteOptionsReader
{
    private static readonly ResourceType s_deleteOptions = new() { Group = "meta.k8s.io", Version = "v1", Kind = "DeleteOptions", Plural = "deleteoptions", Namespaced = false };

    /// <summary>The old and the new form of the same wish together.</summary>
    public static ApiStatus TwoPolicies() => ApiStatus.Invalid(s_deleteOptions, "",
        [MetaRules.Cause("FieldValueInvalid", "propagationPolicy", "Invalid value: orphanDependents and propagationPolicy cannot be both set: leave orphanDependents out")]);

    public static (DeleteOptions Options, ApiStatus? Error) Read(JsonObject? body)
    {
        if (body is null)
            return (DeleteOptions.Default, null);
        if (body.Text("kind") is { Length: > 0 } kind and not "DeleteOptions")
            return (DeleteOptions.Default, ApiStatus.BadRequest($"DeleteOptions are needed, not a {kind}"));
        if (body["gracePeriodSeconds"] is not null && body.Number("gracePeriodSeconds") is null)
            return (DeleteOptions.Default, ApiStatus.BadRequest("gracePeriodSeconds must be a whole number"));
        string? policy = body.Text("propagationPolicy");
        if (!string.IsNullOrEmpty(policy) && body["orphanDependents"] is not null)
            return (DeleteOptions.Default, TwoPolicies());
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
