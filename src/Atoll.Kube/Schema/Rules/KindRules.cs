using System.Text.Json.Nodes;
using Atoll.Api.Objects;
namespace Atoll.Kube.Schema.Rules;
/// <summary>Rules.</summary>
internal static class KindRules { public static void Validate(ResourceType type, JsonObject document, JsonObject? old, string? subresource, FieldErrors errors) { } }
