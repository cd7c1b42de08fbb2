using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Schema.Defaults;
using Atoll.Kube.Schema.OpenApi;
using Atoll.Kube.Schema.Rules;

namespace Atoll.Kube.Schema;

/// <summary>
/// What the API knows of the shape of each kind: defaults, validation, unknown fields and the OpenAPI documents that
/// clients read. Pure functions over documents. The shapes come from embedded text made by eng/SchemaGen; what cannot be
/// said by a shape is a rule in Rules/. Nothing here changes a document but <see cref="ApplyDefaults"/>, and a document
/// of any shape is safe: what is malformed is reported by <see cref="Validate"/>, never thrown.
/// </summary>
public static class ObjectSchemas
{
    /// <summary>
    /// Brings a document into the form that is stored (<see cref="Canonical"/>) and fills in Kubernetes' defaults, in place. Idempotent. A Job's generated selector and labels need metadata.uid: call
    /// this after it was assigned.
    /// </summary>
    public static void ApplyDefaults(ResourceType type, JsonObject document)
    {
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(document);
        if (ShapeOf(type) is { } shape)
            Canonical.Apply(shape, document);
        KindDefaults.Apply(type, document);
    }

    /// <summary>
    /// Everything that is wrong with a document (types, required fields, values, immutable fields); empty when valid.
    /// <paramref name="old"/> is null on create. A Scale, Binding or Eviction is checked as itself when
    /// <paramref name="subresource"/> names it.
    /// </summary>
    public static IReadOnlyList<StatusCause> Validate(ResourceType type, JsonObject document, JsonObject? old, string? subresource)
    {
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(document);
        // A subresource with a form of its own is checked as that; else the document is the object that it changes.
        TypeShape? shape = (subresource, document.Text("kind")) switch
        {
            ("scale", "Scale") => Shapes.Instance.Find("autoscaling", "v1", "Scale"),
            ("binding", "Binding") => Shapes.Instance.Find("", "v1", "Binding"),
            ("eviction", "Eviction") => Shapes.Instance.Find("policy", "v1", "Eviction"),
            _ => ShapeOf(type),
        };
        var errors = new FieldErrors { HoldsSecrets = type.Kind == "Secret" };
        if (shape is not null)
            ShapeCheck.Validate(shape, document, errors, statusOnly: subresource == "status");
        KindRules.Validate(type, document, old, subresource, errors);
        if (errors.Causes.Count == 0 && document.Text("kind") == type.Kind)
            TypedCheck.Validate(type, document, errors);
        return errors.Causes;
    }

    /// <summary>Paths of fields that the schema does not know, such as <c>spec.template.spec.contaners</c>, for fieldValidation Strict and Warn.</summary>
    public static IReadOnlyList<string> UnknownFields(ResourceType type, JsonObject document)
    {
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(document);
        var unknown = new List<string>();
        if (ShapeOf(type) is { } shape)
            ShapeCheck.Unknown(shape, document, unknown);
        return unknown;
    }

    /// <summary>The paths below <c>/openapi/v3/</c> that are served, such as <c>api/v1</c> and <c>apis/apps/v1</c>, each with a hash of its content.</summary>
    public static IReadOnlyList<(string Path, string Hash)> OpenApiPaths => OpenApiDocuments.Paths;

    /// <summary>The OpenAPI v3 document of one of <see cref="OpenApiPaths"/> as JSON, or null.</summary>
    public static ReadOnlyMemory<byte>? OpenApiV3(string path) => OpenApiDocuments.V3(path);

    /// <summary>
    /// The OpenAPI v2 document as protobuf, to be served as <c>application/com.github.proto-openapi.spec.v2.v1.0+protobuf</c>
    /// (an @ in the answer's media type, as the request has it, is refused by clients built with newer Go), for
    /// <c>/openapi/v2</c>: kubectl before 1.24 knows no other.
    /// </summary>
    public static ReadOnlyMemory<byte> OpenApiV2Protobuf() => OpenApiDocuments.V2();

    private static TypeShape? ShapeOf(ResourceType type) => Shapes.Instance.Find(type.Group, type.Version, type.Kind);
}
