using System.Text.Json.Nodes;

namespace Atoll.Api.Patches;

/// <summary>Outcome of a patch: the new document, or why the patch cannot be applied.</summary>
/// <param name="Document">The patched document (a new tree; neither input was changed).</param>
/// <param name="Error">What is wrong, naming the operation or field; null on success.</param>
public readonly record struct PatchResult(JsonNode? Document, string? Error)
{
    /// <summary>A failure.</summary>
    public static PatchResult Fail(string error) => new(null, error);
}
