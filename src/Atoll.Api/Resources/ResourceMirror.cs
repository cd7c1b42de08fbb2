using System.Collections.Concurrent;
using Atoll.Api.Objects;

namespace Atoll.Api.Resources;

/// <summary>
/// A local copy of one resource, kept by list and watch: what a controller reads instead of asking the API each time.
/// It heals itself: a lost or expired watch leads to a new list, and the differences are reported as changes. Changes are
/// reported one at a time, in order, as (old, new), either of which may be null; the copy is updated before the call.
/// </summary>
public sealed class ResourceMirror
{
    private static readonly TimeSpan s_firstRetry = TimeSpan.FromMilliseconds(200), s_lastRetry = TimeSpan.FromSeconds(10);

    private readonly IResources _resources;
    private readonly string? _namespace;
    private readonly string? _labelSelector, _fieldSelector;
    private readonly TimeProvider _time;
    private readonly Action<KubeObject?, KubeObject?>? _changed;
    private readonly Func<IReadOnlyList<KubeObject>, Task>? _listed;
    private readonly Action? _wasSynced;
    private readonly ConcurrentDictionary<string, KubeObject> _items = new(StringComparer.Ordinal);
    private readonly TaskCompletionSource _synced = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Prepares a copy; nothing is read until <see cref="RunAsync"/>. <paramref name="listed"/> sees each list, and its changes are reported when it has ended; <paramref name="synced"/> is called once, between the changes of the first list and all later ones.</summary>
    public ResourceMirror(IResources resources, ResourceType type, TimeProvider time, Action<KubeObject?, KubeObject?>? changed = null, string? ns = null, string? labelSelector = null, string? fieldSelector = null, Func<IReadOnlyList<KubeObject>, Task>? listed = null, Action? synced = null)
    {
        _resources = resources;
        Type = type;
        _time = time;
        _changed = changed;
        _listed = listed;
        _wasSynced = synced;
        _namespace = ns;
        _labelSelector = labelSelector;
        _fieldSelector = fieldSelector;
    }

    /// <summary>What is copied.</summary>
    public ResourceType Type { get; }

    /// <summary>Ends when the first list has been taken in.</summary>
    public Task Synced => _synced.Task;

    /// <summary>The objects now; safe to enumerate while the copy changes.</summary>
    public IEnumerable<KubeObject> Items => _items.Values;

    /// <summary>How many objects there are.</summary>
    public int Count => _items.Count;

    /// <summary>The object of a key (<c>namespace/name</c> or <c>name</c>), or null.</summary>
    public KubeObject? Get(string key) => _items.GetValueOrDefault(key);

    /// <summary>The object of a namespace and name, or null.</summary>
    public KubeObject? Get(string? ns, string name) => Get(string.IsNullOrEmpty(ns) ? name : $"{ns}/{name}");

    /// <summary>Lists and watches until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        TimeSpan retry = s_firstRetry;
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                ApiList list = await _resources.ListAsync(Type, _namespace, new ListOptions { LabelSelector = _labelSelector, FieldSelector = _fieldSelector }, cancellation).ConfigureAwait(false);
                if (list.Error is null)
                {
                    if (_listed is not null)
                        await _listed(list.Items).ConfigureAwait(false);
                    Replace(list.Items);
                    if (_synced.TrySetResult())
                        _wasSynced?.Invoke();
                    retry = s_firstRetry;
                    await FollowAsync(list.ResourceVersion, cancellation).ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
            {
                // The API is out of reach: keep the copy and try again.
            }
            catch (OperationCanceledException)
            {
                return;
            }
            try
            {
                await Task.Delay(retry, _time, cancellation).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            retry = retry * 2 < s_lastRetry ? retry * 2 : s_lastRetry;
        }
    }

    private async Task FollowAsync(string resourceVersion, CancellationToken cancellation)
    {
        while (true)
        {
            string last = resourceVersion;
            var options = new WatchOptions { LabelSelector = _labelSelector, FieldSelector = _fieldSelector, ResourceVersion = resourceVersion, AllowBookmarks = true };
            await foreach (WatchEvent e in _resources.WatchAsync(Type, _namespace, options, cancellation).ConfigureAwait(false))
            {
                if (e.Type == WatchEventType.Error)
                    return;
                resourceVersion = e.Object!.ResourceVersion;
                if (e.Type != WatchEventType.Bookmark)
                    Apply(e.Type == WatchEventType.Deleted, e.Object);
            }
            if (last == resourceVersion)
                return; // Ended without news: list again, after a pause.
        }
    }

    private void Apply(bool deleted, KubeObject value)
    {
        string key = value.Key;
        _items.TryGetValue(key, out KubeObject? old);
        if (deleted)
            _items.TryRemove(key, out _);
        else
            _items[key] = value;
        _changed?.Invoke(old, deleted ? null : value);
    }

    private void Replace(IReadOnlyList<KubeObject> items)
    {
        var keys = new HashSet<string>(items.Count, StringComparer.Ordinal);
        foreach (KubeObject item in items)
        {
            keys.Add(item.Key);
            if (!_items.TryGetValue(item.Key, out KubeObject? old) || old.ResourceVersion != item.ResourceVersion || old.Uid != item.Uid)
                Apply(false, item);
        }
        foreach (KeyValuePair<string, KubeObject> pair in _items)
            if (!keys.Contains(pair.Key))
                Apply(true, pair.Value);
    }
}
