using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Api.Resources;

/// <summary>
/// Tells people what happened to an object, as core/v1 Events. Recording never waits and never fails: a bounded queue
/// drops when it is full, and <see cref="Dropped"/> counts. The same happening again raises the event's count instead of
/// making a new one (its name is derived from what it says, so this holds across restarts too); many different messages
/// of one reason are combined; and each object has a budget, so that a crash loop cannot flood the store.
/// </summary>
public sealed class EventRecorder
{
    /// <summary>Events that may wait to be written.</summary>
    public const int QueueLimit = 1024;

    /// <summary>Events that one object may cause at once; one more is allowed each <see cref="RefillSeconds"/>.</summary>
    public const int Burst = 25;

    /// <summary>Seconds after which an object may cause one more event.</summary>
    public const int RefillSeconds = 300;

    /// <summary>Different messages of one object and reason within ten minutes, after which they are combined.</summary>
    public const int SimilarLimit = 10;

    private const int CacheLimit = 2048, MessageLimit = 1024;
    private static readonly TimeSpan s_similarWindow = TimeSpan.FromMinutes(10);

    private readonly IResources _resources;
    private readonly TimeProvider _time;
    private readonly string _component;
    private readonly string? _host;
    private readonly Channel<Happening> _queue = Channel.CreateBounded<Happening>(new BoundedChannelOptions(QueueLimit) { FullMode = BoundedChannelFullMode.Wait, SingleReader = true });
    // By hashes: with their texts, what is remembered of pods that are gone is megabytes, in which an agent grows for an hour.
    private readonly Dictionary<ulong, int> _written = [];
    private readonly Dictionary<ulong, Budget> _budgets = [];
    private readonly Dictionary<ulong, Similar> _similar = [];
    private long _dropped;

    /// <summary>Prepares a recorder; nothing is written until <see cref="RunAsync"/>.</summary>
    /// <param name="resources">Where events are written.</param>
    /// <param name="time">Clock of the events' times.</param>
    /// <param name="component">Who reports, such as <c>kubelet</c>.</param>
    /// <param name="host">Node that reports, or null.</param>
    public EventRecorder(IResources resources, TimeProvider time, string component, string? host = null)
    {
        _resources = resources;
        _time = time;
        _component = component;
        _host = host;
    }

    /// <summary>Events that were not written: queue full, budget used up, or refused by the API.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>Records something ordinary about an object.</summary>
    public void Normal(KubeObject about, string reason, string message, string? fieldPath = null) => Record(about, fieldPath, "Normal", reason, message);

    /// <summary>Records something that a person should look at.</summary>
    public void Warning(KubeObject about, string reason, string message, string? fieldPath = null) => Record(about, fieldPath, "Warning", reason, message);

    // In a flood most are dropped: nothing is read of the object for those.
    private void Record(KubeObject about, string? fieldPath, string type, string reason, string message)
    {
        if (_queue.Reader.Count >= QueueLimit)
            Interlocked.Increment(ref _dropped);
        else
            Record(Reference(about, fieldPath), type, reason, message);
    }

    /// <summary>Records something about what a reference names. <paramref name="type"/> is <c>Normal</c> or <c>Warning</c>.</summary>
    public void Record(ObjectReference about, string type, string reason, string message)
    {
        if (message.Length > MessageLimit)
            message = string.Concat(message.AsSpan(0, MessageLimit - 3), "...");
        if (!_queue.Writer.TryWrite(new Happening(about, type, reason, message, _time.GetUtcNow())))
            Interlocked.Increment(ref _dropped);
    }

    /// <summary>Writes what was recorded until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            await foreach (Happening happening in _queue.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
                await WriteAsync(happening, cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Asked to stop: what still waits is lost, as events may be.
        }
    }

    /// <summary>Writes what was recorded up to now; for tests and for an orderly end.</summary>
    public async Task FlushAsync(CancellationToken cancellation)
    {
        while (_queue.Reader.TryRead(out Happening? happening))
            await WriteAsync(happening, cancellation).ConfigureAwait(false);
    }

    private async Task WriteAsync(Happening happening, CancellationToken cancellation)
    {
        string source = string.Join('\n', happening.About.Kind, happening.About.Namespace, happening.About.Name, happening.About.Uid);
        (ulong key, string message) = Combine(source, happening);
        bool ok = Spend(Hash(source), happening.At);
        try
        {
            ok = ok && await PutAsync(key, happening, message, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            ok = false; // The API is out of reach: an event is not worth waiting for.
        }
        if (!ok)
            Interlocked.Increment(ref _dropped);
    }

    private async ValueTask<bool> PutAsync(ulong key, Happening happening, string message, CancellationToken cancellation)
    {
        string ns = string.IsNullOrEmpty(happening.About.Namespace) ? "default" : happening.About.Namespace;
        string name = $"{Head(happening.About.Name ?? "unknown")}.{key.ToString("x16", CultureInfo.InvariantCulture)}";
        if (_written.TryGetValue(key, out int written))
        {
            ApiResult patched = await RaiseAsync(ns, name, written + 1, message, happening.At, cancellation).ConfigureAwait(false);
            if (patched.Ok)
                _written[key] = written + 1;
            if (!patched.IsNotFound)
                return patched.Ok;
        }
        ApiResult created = await _resources.CreateAsync(Kinds.Event, ns, Document(ns, name, happening, message), cancellation).ConfigureAwait(false);
        int count = 1;
        if (created.IsAlreadyExists)
        {
            ApiResult known = await _resources.GetAsync(Kinds.Event, ns, name, cancellation).ConfigureAwait(false);
            if (!known.Ok)
                return false;
            count = (known.Object!.View(ApiJson.Default.Event).Count ?? 1) + 1;
            created = await RaiseAsync(ns, name, count, message, happening.At, cancellation).ConfigureAwait(false);
        }
        if (!created.Ok)
            return false;
        if (_written.Count >= CacheLimit)
            _written.Clear(); // The names are deterministic: forgetting costs one read each, nothing else.
        _written[key] = count;
        return true;
    }

    private ValueTask<ApiResult> RaiseAsync(string ns, string name, int count, string message, DateTimeOffset at, CancellationToken cancellation)
    {
        var patch = new JsonObject { ["count"] = count, ["message"] = message, ["lastTimestamp"] = KubeTime.Format(at) };
        return _resources.PatchAsync(Kinds.Event, ns, name, PatchType.Merge, patch, cancellation);
    }

    private JsonObject Document(string ns, string name, Happening happening, string message)
    {
        var involved = new JsonObject();
        Set(involved, "apiVersion", happening.About.ApiVersion);
        Set(involved, "kind", happening.About.Kind);
        Set(involved, "namespace", happening.About.Namespace);
        Set(involved, "name", happening.About.Name);
        Set(involved, "uid", happening.About.Uid);
        Set(involved, "resourceVersion", happening.About.ResourceVersion);
        Set(involved, "fieldPath", happening.About.FieldPath);
        var source = new JsonObject { ["component"] = _component };
        Set(source, "host", _host);
        return new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Event",
            ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = ns },
            ["involvedObject"] = involved,
            ["reason"] = happening.Reason,
            ["message"] = message,
            ["source"] = source,
            ["firstTimestamp"] = KubeTime.Format(happening.At),
            ["lastTimestamp"] = KubeTime.Format(happening.At),
            ["count"] = 1,
            ["type"] = happening.Type,
            ["reportingComponent"] = _component,
            ["reportingInstance"] = _host ?? "",
        };
    }

    /// <summary>The identity of an event and the message to show: many different messages of one reason become one event.</summary>
    private (ulong Key, string Message) Combine(string source, Happening happening)
    {
        string text = string.Join('\n', source, happening.About.FieldPath, happening.Type, happening.Reason, _component);
        ulong group = Hash(text), alone = Hash(text + "\n" + happening.Message);
        if (!_similar.TryGetValue(group, out Similar? similar) || happening.At - similar.Last > s_similarWindow)
        {
            if (_similar.Count >= CacheLimit)
                _similar.Clear();
            _similar[group] = similar = new Similar();
        }
        similar.Last = happening.At;
        bool known = similar.Messages.Contains(alone);
        if (!known && (known = similar.Messages.Count < SimilarLimit))
            similar.Messages.Add(alone);
        return known ? (alone, happening.Message) : (group, "(combined from similar events): " + happening.Message);
    }

    private bool Spend(ulong source, DateTimeOffset now)
    {
        if (!_budgets.TryGetValue(source, out Budget? budget))
        {
            if (_budgets.Count >= CacheLimit)
                _budgets.Clear();
            _budgets[source] = budget = new Budget { Tokens = Burst, At = now };
        }
        budget.Tokens = Math.Min(Burst, budget.Tokens + Math.Max(0, (now - budget.At).TotalSeconds) / RefillSeconds);
        budget.At = now;
        if (budget.Tokens < 1)
            return false;
        budget.Tokens--;
        return true;
    }

    private static ObjectReference Reference(KubeObject about, string? fieldPath) => new()
    {
        ApiVersion = about.ApiVersion,
        Kind = about.Kind,
        Namespace = about.Namespace.Length == 0 ? null : about.Namespace,
        Name = about.Name,
        Uid = about.Uid,
        ResourceVersion = about.ResourceVersion.Length == 0 ? null : about.ResourceVersion,
        FieldPath = fieldPath,
    };

    private static void Set(JsonObject node, string key, string? value)
    {
        if (!string.IsNullOrEmpty(value))
            node[key] = value;
    }

    private static string Head(string name) => name.Length <= 200 ? name : name[..200].TrimEnd('.', '-');

    /// <summary>FNV-1a, 64 bits: names must be equal on every machine and in every version.</summary>
    private static ulong Hash(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (byte b in Encoding.UTF8.GetBytes(text))
            hash = (hash ^ b) * 1099511628211;
        return hash;
    }

    private sealed record Happening(ObjectReference About, string Type, string Reason, string Message, DateTimeOffset At);

    private sealed class Budget
    {
        public double Tokens { get; set; }

        public DateTimeOffset At { get; set; }
    }

    private sealed class Similar
    {
        public DateTimeOffset Last { get; set; }

        public List<ulong> Messages { get; } = new(1);
    }
}
