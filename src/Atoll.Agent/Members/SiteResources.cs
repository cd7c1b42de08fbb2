using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Agent.Members;

/// <summary>
/// The site's API as node control sees it: lists and watches come from this node's own copy, so that it knows what to run
/// with nobody else in reach; what it writes goes to the node that leads, or, while nobody does, into its own copy, from
/// where it is told again when somebody leads.
/// </summary>
/// <param name="own">This node's API.</param>
/// <param name="leader">The leading node's API; null when this node leads or nobody is in reach.</param>
/// <param name="alone">Called before something is written to this node's own API; false when that must wait.</param>
internal sealed class SiteResources(IResources own, Func<IResources?> leader, Func<CancellationToken, ValueTask<bool>> alone) : IResources
{
    public async ValueTask<ApiResult> GetAsync(ResourceType type, string? ns, string name, CancellationToken cancellation)
    {
        if (leader() is not { } other)
            return await own.GetAsync(type, ns, name, cancellation);
        ApiResult found = await SafeAsync(other.GetAsync(type, ns, name, cancellation), cancellation);
        return found.Error is { Code: 503 } ? await own.GetAsync(type, ns, name, cancellation) : found;
    }

    public ValueTask<ApiList> ListAsync(ResourceType type, string? ns, ListOptions options, CancellationToken cancellation) => own.ListAsync(type, ns, options, cancellation);

    public IAsyncEnumerable<WatchEvent> WatchAsync(ResourceType type, string? ns, WatchOptions options, CancellationToken cancellation) => own.WatchAsync(type, ns, options, cancellation);

    public ValueTask<ApiResult> CreateAsync(ResourceType type, string? ns, JsonObject document, CancellationToken cancellation, string? name = null, string? subresource = null) =>
        leader() is { } other ? SafeAsync(other.CreateAsync(type, ns, document, cancellation, name, subresource), cancellation) : AloneAsync(() => own.CreateAsync(type, ns, document, cancellation, name, subresource), cancellation);

    public ValueTask<ApiResult> UpdateAsync(ResourceType type, string? ns, string name, JsonObject document, CancellationToken cancellation, string? subresource = null) =>
        leader() is { } other ? SafeAsync(other.UpdateAsync(type, ns, name, document, cancellation, subresource), cancellation) : AloneAsync(() => own.UpdateAsync(type, ns, name, document, cancellation, subresource), cancellation);

    public ValueTask<ApiResult> PatchAsync(ResourceType type, string? ns, string name, PatchType patchType, JsonNode patch, CancellationToken cancellation, string? subresource = null) =>
        leader() is { } other ? SafeAsync(other.PatchAsync(type, ns, name, patchType, patch, cancellation, subresource), cancellation) : AloneAsync(() => own.PatchAsync(type, ns, name, patchType, patch, cancellation, subresource), cancellation);

    public ValueTask<ApiResult> DeleteAsync(ResourceType type, string? ns, string name, DeleteOptions options, CancellationToken cancellation) =>
        leader() is { } other ? SafeAsync(other.DeleteAsync(type, ns, name, options, cancellation), cancellation) : AloneAsync(() => own.DeleteAsync(type, ns, name, options, cancellation), cancellation);

    private async ValueTask<ApiResult> AloneAsync(Func<ValueTask<ApiResult>> write, CancellationToken cancellation) =>
        await alone(cancellation) ? await write() : ApiStatus.ServiceUnavailable("this node is taking over the state of the site's leading node");

    // A leader that goes away under a call is expected: the caller tries again, and asks whoever leads then.
    private static async ValueTask<ApiResult> SafeAsync(ValueTask<ApiResult> call, CancellationToken cancellation)
    {
        try
        {
            return await call;
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return ApiStatus.ServiceUnavailable($"the site's leading node does not answer: {e.Message}");
        }
    }
}
