using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Microsoft.Extensions.Logging;

namespace Atoll.Orchestration.Loop;

/// <summary>
/// The world as all controllers of this process see it: one copy of each resource, and the writes that keep those copies
/// ahead of the mirrors. A controller reads here and writes here, never around it.
/// </summary>
internal sealed class Cluster
{
    /// <summary>How long the mirror may take to show a creation of ours before the API is asked about it.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    // Where lists of other kinds are late, placement begins late, and controllers wait no longer than this for it.
    private static readonly TimeSpan s_mostForFirstPlan = TimeSpan.FromSeconds(5);

    private readonly Dictionary<ResourceType, Copy> _copies = [];
    private readonly ILogger _log;

    public Cluster(IResources api, TimeProvider time, Random random, ILoggerFactory loggers)
    {
        Api = api;
        Time = time;
        Jitter = new Jitter(random);
        Loggers = loggers;
        _log = loggers.CreateLogger<Cluster>();
        Events = new EventRecorder(api, time, "atoll-orchestration");
        foreach (ResourceType type in Kinds.All)
            if (type != Kinds.Event && type != Kinds.EventsEvent)
                _copies[type] = new Copy(type, time, type == Kinds.Pod ? PodKeys : null);
    }

    /// <summary>The API itself, for reads that must be newest.</summary>
    public IResources Api { get; }

    public TimeProvider Time { get; }

    public Jitter Jitter { get; }

    public ILoggerFactory Loggers { get; }

    public EventRecorder Events { get; }

    /// <summary>Turns of workers that find no end: half of the processors are left to others.</summary>
    public Turns Turns { get; } = new(Math.Max(1, Environment.ProcessorCount / 2));

    public DateTimeOffset Now => Time.GetUtcNow();

    /// <summary>Every copy: all kinds but events, which own nothing and come in floods.</summary>
    public IReadOnlyCollection<Copy> Copies => _copies.Values;

    public Copy Pods => _copies[Kinds.Pod];

    public Copy Nodes => _copies[Kinds.Node];

    /// <summary>The copy of a resource.</summary>
    public Copy Of(ResourceType type) => _copies[type];

    /// <summary>The copy of a resource, or null when it is not kept.</summary>
    public Copy? Find(ResourceType type) => _copies.GetValueOrDefault(type);

    /// <summary>
    /// Mirrors everything until cancelled. <paramref name="listed"/> is called once, when placement can begin: all first lists are in,
    /// but that of nodes and pods, which may be long, only with those who take it whole. <paramref name="synced"/> is called once,
    /// when everybody has seen everything. The copies of nodes and pods, which may be many, are filled when <paramref name="begun"/> has ended:
    /// what placement needs for its first plan is not held up by what others need.
    /// </summary>
    public async Task RunAsync(Action listed, Action synced, Task begun, CancellationToken cancellation)
    {
        var mirrors = new List<ResourceMirror>(_copies.Count);
        var early = new List<Task>(_copies.Count);
        foreach (Copy copy in _copies.Values)
        {
            var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            bool isLong = copy.Type == Kinds.Pod || copy.Type == Kinds.Node;
            mirrors.Add(new ResourceMirror(Api, copy.Type, Time, copy.Seen, listed: list => FirstAsync(copy, list, first, isLong ? begun : Task.CompletedTask, cancellation), synced: copy.Loaded));
            early.Add(isLong ? first.Task : mirrors[^1].Synced);
        }
        // Beside each other: a long first list, which an API in this process gives at once, holds up no other and not the placement.
        var tasks = mirrors.ConvertAll(m => Task.Run(() => m.RunAsync(cancellation), CancellationToken.None));
        tasks.Add(Events.RunAsync(cancellation));
        tasks.Add(SettleAsync(cancellation));
        Task running = Parts.RunAsync(tasks);
        await Task.WhenAny(Task.WhenAll(early), running).ConfigureAwait(false);
        if (!running.IsCompleted)
            listed();
        // Stopped or broken before the first lists were in, it ends below.
        await Task.WhenAny(Task.WhenAll(mirrors.ConvertAll(m => m.Synced)), running).ConfigureAwait(false);
        if (!running.IsCompleted)
            synced();
        await running.ConfigureAwait(false);
    }

    public async ValueTask<ApiResult> CreateAsync(ResourceType type, string? ns, JsonObject document, CancellationToken cancellation) =>
        Keep(type, await Api.CreateAsync(type, ns, document, cancellation).ConfigureAwait(false));

    public async ValueTask<ApiResult> UpdateAsync(ResourceType type, string? ns, string name, JsonObject document, string? subresource, CancellationToken cancellation) =>
        Keep(type, await Api.UpdateAsync(type, ns, name, document, cancellation, subresource).ConfigureAwait(false));

    /// <summary>
    /// A merge patch of one identity; with <paramref name="exact"/> also of the very version that the decision was made
    /// from, so that a decision made from an old state is refused instead of carried out.
    /// </summary>
    public async ValueTask<ApiResult> PatchAsync(ResourceType type, KubeObject target, JsonObject patch, bool exact, CancellationToken cancellation, string? subresource = null)
    {
        JsonObject metadata = patch["metadata"] as JsonObject ?? [];
        patch["metadata"] = metadata;
        metadata["uid"] = target.Uid;
        if (exact)
            metadata["resourceVersion"] = target.ResourceVersion;
        ApiResult result = await Api.PatchAsync(type, Scope(target), target.Name, PatchType.Merge, patch, cancellation, subresource).ConfigureAwait(false);
        if (result.IsNotFound)
            Find(type)?.Removed(target.Key, target.Uid);
        return Keep(type, result);
    }

    /// <summary>Deletes one identity. An identity that is already gone is a success.</summary>
    public async ValueTask<ApiResult> DeleteAsync(ResourceType type, KubeObject target, DeleteOptions options, CancellationToken cancellation)
    {
        ApiResult result = await Api.DeleteAsync(type, Scope(target), target.Name, options with { Uid = target.Uid }, cancellation).ConfigureAwait(false);
        if (result.IsNotFound || (result.Ok && (result.Object is null || !result.Object.IsDeleting)))
        {
            Find(type)?.Removed(target.Key, target.Uid);
            return default;
        }
        return Keep(type, result);
    }

    /// <summary>Asks the API about creations that the mirror has not shown: made and removed between two lists.</summary>
    internal async ValueTask SettleOnceAsync(CancellationToken cancellation)
    {
        foreach (Copy copy in _copies.Values)
            foreach (KubeObject value in copy.Unseen(Patience))
            {
                ApiResult result = await Api.GetAsync(copy.Type, Scope(value), value.Name, cancellation).ConfigureAwait(false);
                if (!result.IsNotFound && (result.Object is null || result.Object.Uid == value.Uid))
                    continue;
                copy.Removed(value.Key, value.Uid);
                copy.Seen(value, null);
            }
    }

    private async Task SettleAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
            try
            {
                await Task.Delay(Patience, Time, cancellation).ConfigureAwait(false);
                await SettleOnceAsync(cancellation).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                _log.LogWarning(e, "Checking our own writes failed; it is tried again");
            }
    }

    private ApiResult Keep(ResourceType type, ApiResult result)
    {
        if (result.Object is not null && result.Object.Kind == type.Kind)
            Find(type)?.Wrote(result.Object);
        return result;
    }

    private static string? Scope(KubeObject value) => value.Namespace.Length == 0 ? null : value.Namespace;

    private async Task FirstAsync(Copy copy, IReadOnlyList<KubeObject> list, TaskCompletionSource first, Task begun, CancellationToken cancellation)
    {
        if (first.Task.IsCompleted)
            return;
        copy.First(list);
        first.TrySetResult();
        if (begun.IsCompleted)
            return;
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        await Task.WhenAny(begun, Task.Delay(s_mostForFirstPlan, Time, over.Token)).ConfigureAwait(false);
        await over.CancelAsync().ConfigureAwait(false);
        cancellation.ThrowIfCancellationRequested();
    }

    private static string[] PodKeys(KubeObject pod)
    {
        PodFields fields = PodFields.Of(pod);
        string place = fields.NodeOf(pod) is { } node ? Copy.OnNode(node) : Copy.Unbound;
        return fields.IsOver ? [place, Copy.Over] : [place];
    }
}
