using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Access;
using Atoll.Kube.Resources;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

/// <summary>One request for a resource, with what was read of it.</summary>
internal sealed record ResourceRequest(HttpContext Context, ResourcePath Path, Identity Identity, Accepts Accepts)
{
    public ResourceType Type => Path.Type;

    public IQueryCollection Query => Context.Request.Query;

    public CancellationToken Aborted => Context.RequestAborted;
}

// What the verbs share: access, reading bodies, answering.
internal sealed partial class ResourceEndpoints
{
    private const int MaxManagerLength = 128;

    private static readonly ResourceType s_patchOptions = new() { Group = "meta.k8s.io", Version = "v1", Kind = "PatchOptions", Plural = "patchoptions", Namespaced = false };

    private ApiStatus? Refused(ResourceRequest request, string verb, JsonObject? document, out Func<KubeObject, bool>? filter)
    {
        ResourcePath path = request.Path;
        AccessDecision decision = server.Access.Check(new AccessRequest(request.Identity, verb, path.Type, path.Namespace, path.Name, path.Subresource, document));
        filter = decision.Filter;
        return decision.Denial;
    }

    private async ValueTask<(JsonObject? Document, CallContext? Call, ApiStatus? Error)> ReadAsync(ResourceRequest request)
    {
        (JsonNode? node, CallContext? call, ApiStatus? error) = await ReadAnyAsync(request).ConfigureAwait(false);
        return error is not null ? (null, null, error)
            : node is JsonObject document ? (document, call, null)
            : (null, null, NoObject());
    }

    private static ApiStatus NoObject() => ApiStatus.BadRequest("the body must be an object in JSON or YAML");

    private async ValueTask<(JsonNode? Document, CallContext? Call, ApiStatus? Error)> ReadAnyAsync(ResourceRequest request)
    {
        (ReadOnlyMemory<byte> body, CallContext? call, ApiStatus? error) = await ReadBodyAsync(request).ConfigureAwait(false);
        if (error is not null)
            return (null, null, error);
        (JsonNode? document, error) = BodyReader.Parse(body, BodyReader.MediaType(request.Context.Request), call!.DuplicateFields);
        return (document, call, error);
    }

    private async ValueTask<(ReadOnlyMemory<byte> Body, CallContext? Call, ApiStatus? Error)> ReadBodyAsync(ResourceRequest request)
    {
        if (RequestQuery.DryRun(request.Query, out bool dryRun) is { } bad)
            return (default, null, bad);
        string fields = RequestQuery.Text(request.Query, "fieldValidation") ?? "Warn";
        if (fields is not ("Strict" or "Warn" or "Ignore"))
            return (default, null, ApiStatus.BadRequest($"fieldValidation \"{fields}\" is not supported: Ignore, Strict and Warn are"));
        string? manager = RequestQuery.Text(request.Query, "fieldManager");
        if (manager?.Length > MaxManagerLength)
            return (default, null, PatchOptions("FieldValueTooLong", "fieldManager", $"Too long: may not be more than {MaxManagerLength} bytes"));
        if (manager?.Any(char.IsControl) == true)
            return (default, null, PatchOptions("FieldValueInvalid", "fieldManager", "Invalid value: should only contain printable characters"));
        (ReadOnlyMemory<byte> body, ApiStatus? error) = await BodyReader.ReadAsync(request.Context, Options.MaxBodyBytes).ConfigureAwait(false);
        return (body, new CallContext(request.Identity, request.Aborted) { DryRun = dryRun, FieldValidation = fields, Manager = manager ?? Agent(request.Context.Request) }, error);
    }

    // The program's name, as its user agent says: kubectl/v1.32.0 (linux/amd64) … is kubectl.
    private static string Agent(HttpRequest request)
    {
        string agent = request.Headers.UserAgent.ToString().Split('/', 2)[0].Trim();
        return agent.Length is > 0 and <= MaxManagerLength ? agent : "unknown";
    }

    private static ApiStatus PatchOptions(string reason, string field, string message) =>
        ApiStatus.Invalid(s_patchOptions, "", [MetaRules.Cause(reason, field, message)]);

    private async ValueTask<(DeleteOptions Options, CallContext? Call, ApiStatus? Error)> ReadDeleteAsync(ResourceRequest request)
    {
        IQueryCollection query = request.Query;
        ApiStatus? bad = RequestQuery.DryRun(query, out bool dryRun) ?? RequestQuery.Grace(query, out long? _);
        if (bad is not null)
            return (DeleteOptions.Default, null, bad);
        RequestQuery.Grace(query, out long? grace);
        (ReadOnlyMemory<byte> body, ApiStatus? error) = await BodyReader.ReadAsync(request.Context, Options.MaxBodyBytes).ConfigureAwait(false);
        JsonNode? document = null;
        if (error is null && body.Length > 0)
            (document, error) = BodyReader.Parse(body, BodyReader.MediaType(request.Context.Request), []);
        if (error is not null)
            return (DeleteOptions.Default, null, error);
        (DeleteOptions options, error) = DeleteOptionsReader.Read(document as JsonObject);
        string? policy = RequestQuery.Text(query, "propagationPolicy"), orphan = RequestQuery.Text(query, "orphanDependents");
        if (error is null && policy is not null && orphan is not null)
            error = DeleteOptionsReader.TwoPolicies();
        policy ??= orphan is null ? null : RequestQuery.Flag(query, "orphanDependents") ? "Orphan" : "Background";
        options = options with
        {
            GracePeriodSeconds = options.GracePeriodSeconds ?? grace,
            PropagationPolicy = options.PropagationPolicy ?? policy,
            DryRun = options.DryRun || dryRun,
        };
        return (options, new CallContext(request.Identity, request.Aborted), error);
    }

    private async Task<ApiStatus?> AnswerAsync(ResourceRequest request, WriteResult result, int code, CallContext? call = null)
    {
        if (result.Error is not null)
            return result.Error;
        foreach (string warning in call?.Warnings ?? [])
            request.Context.Response.Headers.Append("Warning", $"299 - \"{warning.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
        KubeObject value = request.Path.Subresource == "scale"
            ? KubeObject.FromNode(Verbs.ScaleOf(result.Object!.Object))
            : Forms.Present(request.Type, result.Object!);
        Accepts accepts = request.Path.Subresource == "scale" && request.Accepts.Form == ObjectForm.Table ? request.Accepts with { Form = ObjectForm.Whole } : request.Accepts;
        await Answers.ObjectAsync(request.Context, request.Type, value, accepts, Options.Time.GetUtcNow(), code).ConfigureAwait(false);
        return null;
    }
}
