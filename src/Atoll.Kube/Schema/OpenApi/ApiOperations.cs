using Atoll.Api.Objects;

namespace Atoll.Kube.Schema.OpenApi;

/// <summary>One operation of a path: what OpenAPI documents of both versions say of it.</summary>
/// <param name="Method">HTTP method in lower case.</param>
/// <param name="Action">x-kubernetes-action: get, list, post, put, patch, delete, deletecollection or connect.</param>
/// <param name="Gvk">group/version/kind that the operation is about.</param>
/// <param name="Body">Name of the body's type, <c>patch</c>, or null.</param>
/// <param name="Answer">Name of the answer's type, or null for plain text and streams.</param>
internal sealed record ApiOperation(string Method, string Action, string Gvk, string? Body, string? Answer);

/// <summary>One path and its operations.</summary>
internal sealed record ApiPath(string Path, bool HasNamespace, bool HasName, IReadOnlyList<ApiOperation> Operations);

/// <summary>Every path that the API serves for resources, made from the table of kinds: what the OpenAPI documents list.</summary>
internal static class ApiOperations
{
    public const string DeleteOptions = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
    public const string Status = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

    /// <summary>Query parameters of a list.</summary>
    public static readonly (string Name, string Type)[] ListParameters =
    [
        ("allowWatchBookmarks", "boolean"), ("continue", "string"), ("fieldSelector", "string"), ("labelSelector", "string"), ("limit", "integer"),
        ("resourceVersion", "string"), ("resourceVersionMatch", "string"), ("sendInitialEvents", "boolean"), ("timeoutSeconds", "integer"), ("watch", "boolean"),
    ];

    /// <summary>Query parameters of a write: kubectl looks for these before it sends them.</summary>
    public static readonly (string Name, string Type)[] WriteParameters = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];

    /// <summary>Query parameters of a patch.</summary>
    public static readonly (string Name, string Type)[] PatchParameters = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];

    /// <summary>Query parameters of a deletion.</summary>
    public static readonly (string Name, string Type)[] DeleteParameters = [("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("orphanDependents", "boolean"), ("propagationPolicy", "string")];

    /// <summary>Query parameters of an operation.</summary>
    public static (string Name, string Type)[] QueryOf(ApiOperation operation) => operation.Action switch
    {
        "list" => ListParameters,
        "post" or "put" => WriteParameters,
        "patch" => PatchParameters,
        "delete" => DeleteParameters,
        "deletecollection" => [.. DeleteParameters, .. ListParameters],
        _ => [],
    };

    /// <summary>Ways in which a resource can be patched: our own kinds have no strategic merge.</summary>
    public static string[] PatchTypes(string gvk) => gvk.StartsWith(Kinds.EdgeGroup, StringComparison.Ordinal)
        ? ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
        : ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

    /// <summary>The path below /openapi/v3/ of a group and version.</summary>
    public static string DocumentPath(ResourceType type) => type.Group.Length == 0 ? $"api/{type.Version}" : $"apis/{type.Group}/{type.Version}";

    /// <summary>All paths of one resource.</summary>
    public static IEnumerable<ApiPath> Of(ResourceType type)
    {
        string gvk = $"{type.Group}/{type.Version}/{type.Kind}";
        string item = Shapes.Instance.Find(type.Group, type.Version, type.Kind)!.Name;
        string list = Shapes.Instance.Find(type.Group, type.Version, type.Kind + "List")!.Name;
        string root = "/" + DocumentPath(type);
        string collection = type.Namespaced ? $"{root}/namespaces/{{namespace}}/{type.Plural}" : $"{root}/{type.Plural}";
        var operations = new List<ApiOperation> { new("get", "list", gvk, null, list), new("post", "post", gvk, item, item) };
        if (type.Verbs.Contains("deletecollection"))
            operations.Add(new("delete", "deletecollection", gvk, DeleteOptions, Status));
        if (type.Namespaced)
            yield return new ApiPath($"{root}/{type.Plural}", false, false, [new("get", "list", gvk, null, list)]);
        yield return new ApiPath(collection, type.Namespaced, false, operations);
        yield return new ApiPath(collection + "/{name}", type.Namespaced, true,
        [
            new("get", "get", gvk, null, item), new("put", "put", gvk, item, item),
            new("patch", "patch", gvk, "patch", item), new("delete", "delete", gvk, DeleteOptions, Status),
        ]);
        foreach (string subresource in type.Subresources)
            yield return new ApiPath($"{collection}/{{name}}/{subresource}", type.Namespaced, true, Subresource(subresource, gvk, item));
    }

    private static ApiOperation[] Subresource(string name, string gvk, string item) => name switch
    {
        "scale" => Written("autoscaling/v1/Scale", "io.k8s.api.autoscaling.v1.Scale"),
        "binding" => [new("post", "post", "/v1/Binding", "io.k8s.api.core.v1.Binding", "io.k8s.api.core.v1.Binding")],
        "eviction" => [new("post", "post", "policy/v1/Eviction", "io.k8s.api.policy.v1.Eviction", "io.k8s.api.policy.v1.Eviction")],
        "finalize" => [new("put", "put", gvk, item, item)],
        "log" => [new("get", "get", gvk, null, null)],
        "exec" => [new("get", "connect", "/v1/PodExecOptions", null, null), new("post", "connect", "/v1/PodExecOptions", null, null)],
        "attach" => [new("get", "connect", "/v1/PodAttachOptions", null, null), new("post", "connect", "/v1/PodAttachOptions", null, null)],
        "portforward" => [new("get", "connect", "/v1/PodPortForwardOptions", null, null), new("post", "connect", "/v1/PodPortForwardOptions", null, null)],
        _ => Written(gvk, item),
    };

    private static ApiOperation[] Written(string gvk, string item) => [new("get", "get", gvk, null, item), new("put", "put", gvk, item, item), new("patch", "patch", gvk, "patch", item)];

    /// <summary>The types that a resource's documents need: those of its operations and all that they refer to.</summary>
    public static void Close(TypeShape type, SortedDictionary<string, TypeShape> into)
    {
        if (!into.TryAdd(type.Name, type))
            return;
        foreach (FieldShape field in type.Fields)
            if (field.Type is not null)
                Close(field.Type, into);
    }
}
