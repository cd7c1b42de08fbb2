namespace Atoll.Kube.Schema.OpenApi;

/// <summary>What both versions of OpenAPI say of a field beyond its type.</summary>
internal static class OpenApiExtensions
{
    private static readonly string[] s_atomic =
    [
        "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", "io.k8s.api.core.v1.NodeSelector", "io.k8s.api.core.v1.NodeSelectorTerm", "io.k8s.api.core.v1.LocalObjectReference",
        "io.k8s.api.core.v1.ObjectReference", "io.k8s.api.core.v1.ConfigMapKeySelector", "io.k8s.api.core.v1.SecretKeySelector", "io.k8s.api.core.v1.ObjectFieldSelector",
        "io.k8s.api.core.v1.ResourceFieldSelector", "io.k8s.api.core.v1.TypedLocalObjectReference", "io.k8s.api.core.v1.FileKeySelector",
    ];

    /// <summary>True for types that an apply replaces as a whole.</summary>
    public static bool IsAtomic(TypeShape type) => Array.IndexOf(s_atomic, type.Name) >= 0;

    /// <summary>JSON type and format of a plain value.</summary>
    public static (string Type, string? Format) Scalar(ShapeKind kind) => kind switch
    {
        ShapeKind.Text => ("string", null),
        ShapeKind.Bytes => ("string", "byte"),
        ShapeKind.Bool => ("boolean", null),
        ShapeKind.Int32 => ("integer", "int32"),
        ShapeKind.Int64 => ("integer", "int64"),
        ShapeKind.Float => ("number", "double"),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "No plain value."),
    };

    /// <summary>The extensions that say how lists merge: strategic merge and apply depend on them.</summary>
    public static IEnumerable<(string Name, string[] Values)> Of(FieldShape field)
    {
        if (field.Flag("k=") is { } keys)
        {
            yield return ("x-kubernetes-list-map-keys", keys.Split(','));
            yield return ("x-kubernetes-list-type", ["map"]);
        }
        else if (field.Has("a"))
            yield return ("x-kubernetes-list-type", ["atomic"]);
        else if (field.Has("s"))
            yield return ("x-kubernetes-list-type", ["set"]);
        if (field.Flag("m=") is { } key)
        {
            yield return ("x-kubernetes-patch-merge-key", [key]);
            yield return ("x-kubernetes-patch-strategy", ["merge"]);
        }
        else if (field.Flag("mr=") is { } retain)
        {
            yield return ("x-kubernetes-patch-merge-key", [retain]);
            yield return ("x-kubernetes-patch-strategy", ["merge,retainKeys"]);
        }
        else if (field.Has("ms"))
            yield return ("x-kubernetes-patch-strategy", ["merge"]);
        else if (field.Has("rk"))
            yield return ("x-kubernetes-patch-strategy", ["retainKeys"]);
    }
}
