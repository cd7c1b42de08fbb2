using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Access;
using Atoll.Kube.Resources;
using Atoll.Kube.Streaming;
using Atoll.Kube.Watch;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

/// <summary>The verbs of one resource over HTTP. Each method reads its options, asks for access, acts and answers; a status that is returned was not written yet.</summary>
internal sealed partial class ResourceEndpoints(ApiServer server)
{
    private ApiServerOptions Options => server.Options;

    /// <summary>Carries out the verb that method and path name.</summary>
    public Task<ApiStatus?> ServeAsync(HttpContext context, ResourcePath path, Identity identity)
    {
        var request = new ResourceRequest(context, path, identity, Accepts.Read(context.Request));
        if (path.Subresource is "log" or "exec" or "attach" or "portforward")
            return StreamAsync(request);
        if (!request.Accepts.Possible)
            return Status(NotAcceptable());
        if (context.Request.Query["includeObject"].ToString() is not ("" or "None" or "Object" or "Metadata") and { } include)
            return Status(ApiStatus.BadRequest($"includeObject \"{include}\" is not known: None, Metadata and Object are"));
        return (context.Request.Method, path.Name is not null, path.Subresource is not null) switch
        {
            ("GET", true, _) => GetAsync(request),
            ("GET", false, _) => RequestQuery.Flag(context.Request.Query, "watch") ? WatchAsync(request) : ListAsync(request),
            ("POST", false, _) when path.Type.Namespaced == path.Namespace is not null => CreateAsync(request),
            ("POST", true, true) => CreateAsync(request),
            ("PUT", true, _) => UpdateAsync(request),
            ("PATCH", true, _) => PatchAsync(request),
            ("DELETE", true, false) => DeleteAsync(request),
            ("DELETE", false, _) when path.Type.Verbs.Contains("deletecollection") && path.Type.Namespaced == path.Namespace is not null => DeleteCollectionAsync(request),
            _ => Status(ApiStatus.MethodNotAllowed("the server does not allow this method on the requested resource")),
        };
    }

    private async Task<ApiStatus?> GetAsync(ResourceRequest request)
    {
        if (Refused(request, "get", null, out _) is { } refused)
            return refused;
        if (request.Path.Subresource is "binding" or "eviction" or "finalize")
            return ApiStatus.MethodNotAllowed("the server does not allow this method on the requested resource");
        WriteResult found = await server.Reader.GetAsync(request.Type, request.Path.Namespace, request.Path.Name!, RequestQuery.Text(request.Query, "resourceVersion"), request.Aborted).ConfigureAwait(false);
        return await AnswerAsync(request, found, StatusCodes.Status200OK).ConfigureAwait(false);
    }

    private async Task<ApiStatus?> ListAsync(ResourceRequest request)
    {
        if (Refused(request, "list", null, out Func<KubeObject, bool>? filter) is { } refused)
            return refused;
        if (RequestQuery.List(request.Query, out ListOptions options) is { } bad)
            return bad;
        CacheList list = await server.Reader.ListAsync(request.Type, request.Path.Namespace, options, filter, request.Aborted).ConfigureAwait(false);
        if (list.Error is not null)
            return list.Error;
        await Answers.ListAsync(request.Context, request.Type, list, request.Accepts, Options.Time.GetUtcNow()).ConfigureAwait(false);
        return null;
    }

    private async Task<ApiStatus?> WatchAsync(ResourceRequest request)
    {
        if (Refused(request, "watch", null, out Func<KubeObject, bool>? filter) is { } refused)
            return refused;
        if ((RequestQuery.Watch(request.Query, out WatchOptions options) ?? RequestQuery.Number(request.Query, "timeoutSeconds", out int? _)) is { } bad)
            return bad;
        RequestQuery.Number(request.Query, "timeoutSeconds", out int? seconds);
        TimeSpan time = seconds is > 0 ? TimeSpan.FromSeconds(seconds.Value) : Options.MaxWatchTime;
        (CacheWatcher? watcher, ApiStatus? error) = await server.Reader.WatchAsync(request.Type, request.Path.Namespace, options, filter, request.Aborted).ConfigureAwait(false);
        var answer = new WatchAnswer(request.Context, request.Type, request.Accepts, Options);
        if (watcher is null)
        {
            if (error is not { Code: StatusCodes.Status410Gone })
                return error;
            await answer.FailAsync(error).ConfigureAwait(false);
            return null;
        }
        using (watcher)
            await answer.RunAsync(watcher, options.AllowBookmarks, time).ConfigureAwait(false);
        return null;
    }

    private async Task<ApiStatus?> CreateAsync(ResourceRequest request)
    {
        ResourcePath path = request.Path;
        (ReadOnlyMemory<byte> body, CallContext? call, ApiStatus? error) = await ReadBodyAsync(request).ConfigureAwait(false);
        if (error is not null)
            return error;
        if (IsPlainPod(request))
        {
            call = call! with { Body = body };
            if (await server.Verbs.CreateAlikeAsync(path.Namespace!, call).ConfigureAwait(false) is { } alike)
                return await AnswerAsync(request, alike, StatusCodes.Status201Created).ConfigureAwait(false);
        }
        (JsonNode? node, error) = BodyReader.Parse(body, BodyReader.MediaType(request.Context.Request), call!.DuplicateFields);
        var document = node as JsonObject;
        error ??= document is null ? NoObject() : null;
        if ((error ?? Refused(request, "create", document, out _)) is { } refused)
            return refused;
        WriteResult result = path.Subresource switch
        {
            null => await server.Verbs.CreateAsync(path.Type, path.Namespace, document!, call!).ConfigureAwait(false),
            "binding" => await server.Verbs.BindAsync(path.Namespace, path.Name!, document!, call!).ConfigureAwait(false),
            "eviction" => await server.Verbs.EvictAsync(path.Namespace, path.Name!, document!, call!).ConfigureAwait(false),
            _ => ApiStatus.MethodNotAllowed("the server does not allow this method on the requested resource"),
        };
        if (path.Subresource is null || result.Error is not null)
            return await AnswerAsync(request, result, StatusCodes.Status201Created, call).ConfigureAwait(false);
        ApiStatus done = ApiStatus.Success();
        done.Code = StatusCodes.Status201Created;
        return done;
    }

    // A new pod in JSON from somebody who may do everything, whatever it says.
    private bool IsPlainPod(ResourceRequest request) =>
        request.Path is { Subresource: null, Namespace: not null } && request.Type.Equals(Kinds.Pod) && request.Identity.IsMaster && server.Access is SiteAccessPolicy
        && BodyReader.MediaType(request.Context.Request) == "application/json";

    private async Task<ApiStatus?> UpdateAsync(ResourceRequest request)
    {
        (JsonObject? document, CallContext? call, ApiStatus? error) = await ReadAsync(request).ConfigureAwait(false);
        if ((error ?? Refused(request, "update", document, out _)) is { } refused)
            return refused;
        ResourcePath path = request.Path;
        if (path.Subresource is not (null or "status" or "scale" or "finalize"))
            return ApiStatus.MethodNotAllowed("the server does not allow this method on the requested resource");
        WriteResult result = await server.Verbs.UpdateAsync(path.Type, path.Namespace, path.Name!, document!, path.Subresource, call!).ConfigureAwait(false);
        return await AnswerAsync(request, result, StatusCodes.Status200OK, call).ConfigureAwait(false);
    }

    private async Task<ApiStatus?> PatchAsync(ResourceRequest request)
    {
        PatchType? patchType = BodyReader.MediaType(request.Context.Request) switch
        {
            "application/json-patch+json" => PatchType.Json,
            "application/merge-patch+json" => PatchType.Merge,
            "application/strategic-merge-patch+json" => PatchType.StrategicMerge,
            _ => null,
        };
        if (BodyReader.MediaType(request.Context.Request) == BodyReader.ApplyPatch)
            return await ApplyAsync(request).ConfigureAwait(false);
        if (patchType is null)
            return ApiStatus.UnsupportedMediaType($"the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, {BodyReader.ApplyPatch}");
        if (request.Query.ContainsKey("force"))
            return PatchOptions("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch");
        if (Refused(request, "patch", null, out _) is { } refused)
            return refused;
        (JsonNode? patch, CallContext? call, ApiStatus? error) = await ReadAnyAsync(request).ConfigureAwait(false);
        if (error is not null)
            return error;
        ResourcePath path = request.Path;
        if (path.Subresource is not (null or "status" or "scale"))
            return ApiStatus.MethodNotAllowed("the server does not allow this method on the requested resource");
        if (patch is null)
            return ApiStatus.BadRequest("the patch is empty");
        WriteResult result = await server.Verbs.PatchAsync(path.Type, path.Namespace, path.Name!, patchType.Value, patch, path.Subresource, call!).ConfigureAwait(false);
        return await AnswerAsync(request, result, StatusCodes.Status200OK, call).ConfigureAwait(false);
    }

    private async Task<ApiStatus?> ApplyAsync(ResourceRequest request)
    {
        if (Refused(request, "patch", null, out _) is { } refused)
            return refused;
        ResourcePath path = request.Path;
        if (path.Subresource is not (null or "status" or "scale"))
            return ApiStatus.MethodNotAllowed($"server-side apply is served on {path.Type.Plural}, their status and scale, not on {path.Subresource}");
        if (RequestQuery.Text(request.Query, "fieldManager") is null)
            return PatchOptions("FieldValueRequired", "fieldManager", "Required value: is required for apply patch");
        (JsonObject? document, CallContext? call, ApiStatus? error) = await ReadAsync(request).ConfigureAwait(false);
        if (error is not null)
            return error;
        ApiStatus? mayNotCreate = Refused(request, "create", document, out _);
        WriteResult result = await server.Verbs.ApplyAsync(path.Type, path.Namespace, path.Name!, document!, path.Subresource, RequestQuery.Flag(request.Query, "force"), mayNotCreate, call!).ConfigureAwait(false);
        return await AnswerAsync(request, result, result.Created ? StatusCodes.Status201Created : StatusCodes.Status200OK, call).ConfigureAwait(false);
    }

    private async Task<ApiStatus?> DeleteAsync(ResourceRequest request)
    {
        if (Refused(request, "delete", null, out _) is { } refused)
            return refused;
        (DeleteOptions options, CallContext? call, ApiStatus? error) = await ReadDeleteAsync(request).ConfigureAwait(false);
        if (error is not null)
            return error;
        ResourcePath path = request.Path;
        WriteResult result = await server.Verbs.DeleteAsync(path.Type, path.Namespace, path.Name!, options, call!).ConfigureAwait(false);
        return result.Error is null && result.Object is null
            ? ApiStatus.Success(path.Type, path.Name, result.GoneUid)
            : await AnswerAsync(request, result, StatusCodes.Status200OK).ConfigureAwait(false);
    }

    private async Task<ApiStatus?> DeleteCollectionAsync(ResourceRequest request)
    {
        if (Refused(request, "deletecollection", null, out Func<KubeObject, bool>? filter) is { } refused)
            return refused;
        if (RequestQuery.List(request.Query, out ListOptions selection) is { } bad)
            return bad;
        (DeleteOptions options, CallContext? call, ApiStatus? error) = await ReadDeleteAsync(request).ConfigureAwait(false);
        if (error is not null)
            return error;
        ResourcePath path = request.Path;
        CacheList list = await server.Reader.ListAsync(path.Type, path.Namespace, selection, filter, request.Aborted).ConfigureAwait(false);
        if (list.Error is not null)
            return list.Error;
        var deleted = new List<CachedObject>();
        foreach (CachedObject item in list.Items)
        {
            WriteResult result = await server.Verbs.DeleteAsync(path.Type, path.Namespace, item.Object.Name, options, call!, "deletecollection").ConfigureAwait(false);
            if (result.Error is null)
                deleted.Add(result.Object ?? item);
            else if (result.Error.Code != StatusCodes.Status404NotFound)
                return result.Error;
        }
        await Answers.ListAsync(request.Context, path.Type, list with { Items = deleted }, request.Accepts, Options.Time.GetUtcNow()).ConfigureAwait(false);
        return null;
    }

    // Log, exec, attach, port-forward: to the node here, or through a tunnel to where the pod runs.
    private async Task<ApiStatus?> StreamAsync(ResourceRequest request)
    {
        string subresource = request.Path.Subresource!;
        string method = request.Context.Request.Method;
        if (method != "GET" && (subresource == "log" || method is not ("POST" or "CONNECT")))
            return ApiStatus.MethodNotAllowed("the server does not allow this method on the requested resource");
        if (Refused(request, subresource == "log" ? "get" : "create", null, out _) is { } refused)
            return refused;
        WriteResult found = await server.Reader.GetAsync(request.Type, request.Path.Namespace, request.Path.Name!, null, request.Aborted).ConfigureAwait(false);
        if (found.Error is not null)
            return found.Error;
        KubeObject pod = found.Object!.Object;
        if (Options.PodStreams is { } streams)
            return await PodStreamEndpoints.ServeAsync(request.Context, subresource, pod, streams).ConfigureAwait(false);
        if (found.Object.NodeName is null)
            return ApiStatus.BadRequest($"pod {pod.Name} does not have a host assigned");
        return Options.PodProxy is { } proxy
            ? await proxy(request.Context, pod, subresource).ConfigureAwait(false)
            : ApiStatus.ServiceUnavailable($"this server has no way to the node of pod {pod.Name}");
    }

    private static Task<ApiStatus?> Status(ApiStatus status) => Task.FromResult<ApiStatus?>(status);

    private static ApiStatus NotAcceptable() => new()
    {
        Code = StatusCodes.Status406NotAcceptable,
        Reason = "NotAcceptable",
        Message = "only the following media types are accepted: application/json",
    };
}
