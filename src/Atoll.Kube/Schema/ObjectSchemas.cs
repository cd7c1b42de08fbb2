using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Kube.Schema;

/// <summary>
/// What the API knows of the shape of each kind: defaults, validation, unknown fields and the OpenAPI documents that
/// clients read. Pure functions over documents.
/// </summary>
public static class ObjectSchemas
{
    /// <summary>Fills in Kubernetes' defaults, in place. Idempotent.</summary>
    public static void ApplyDefaults(ResourceType type, JsonObject document)
    {
    }

    /// <summary>Everything that is wrong with a document (types, required fields, values, immutable fields); empty when valid. <paramref name="old"/> is null on create.</summary>
    public static IReadOnlyList<StatusCause> Validate(ResourceType type, JsonObject document, JsonObject? old, string? subresource) => [];

    /// <summary>Paths of fields that the schema does not know, such as <c>spec.template.spec.contaners</c>, for fieldValidation Strict and Warn.</summary>
    public static IReadOnlyList<string> UnknownFields(ResourceType type, JsonObject document) => [];

    /// <summary>The paths below <c>/openapi/v3/</c> that are served, such as <c>api/v1</c> and <c>apis/apps/v1</c>, each with a hash of its content.</summary>
    public static IReadOnlyList<(string Path, string Hash)> OpenApiPaths { get; } = [];

    /// <summary>The OpenAPI v3 document of one of <see cref="OpenApiPaths"/> as JSON, or null.</summary>
    public static ReadOnlyMemory<byte>? OpenApiV3(string path) => null;
}
