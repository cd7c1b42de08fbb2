using Atoll.Api.Objects;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>From the cache to what a client of a resource sees.</summary>
internal static class Forms
{
    /// <summary>The object under the resource's own names.</summary>
    public static KubeObject Present(ResourceType type, CachedObject value) =>
        EventForms.IsNewer(type) ? new KubeObject(EventForms.ToServed(type, value.Utf8)) : value.Object;
}
