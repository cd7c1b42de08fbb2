using System.Text.Json.Nodes;
using Atoll.Api.Objects;
namespace Atoll.Kube.Schema.Defaults;
/// <summary>Defaults.</summary>
internal static class KindDefaults { public static void Apply(ResourceType type, JsonObject document) { } }
