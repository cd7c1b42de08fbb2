using System.Collections.Concurrent;
using System.Globalization;
using System.Threading.Channels;
using Atoll.Api.Objects;
using Atoll.Api.Streams;

namespace Atoll.Edge.Runtimes.Fake;

/// <summary>What a hollow instance does; see <see cref="FakeRuntime.Behave"/>.</summary>
public sealed record FakeBehaviour
{
    /// <summary>How long it runs before it ends by itself; null runs until stopped.</summary>
    public TimeSpan? RunsFor { get; init; }

    /// <summary>Exit code when it ends by itself.</summary>
    public int ExitCode { get; init; }

    /// <summary>Ends as killed for memory.</summary>
    public bool OomKilled { get; init; }

    /// <summary>Does not react to the stop signal: ends by kill (137) after the grace.</summary>
    public bool IgnoresSignal { get; init; }

    /// <summary>Exit code after the stop signal.</summary>
    public int StopExitCode { get; init; } = 143;

    /// <summary>Not started at all, with this outcome.</summary>
    public RuntimeOutcome StartOutcome { get; init; }

    /// <summary>Exit code and output of a command run inside; null is success without output.</summary>
    public Func<ExecRequest, (int ExitCode, string Output)>? Exec { get; init; }

    /// <summary>Lines written to the log at start.</summary>
    public IReadOnlyList<string> LogLines { get; init; } = [];
}

/// <summary>
/// A runtime without processes: deterministic, scriptable, first-class. Tests drive it, and fleet benchmarks use it for
/// hollow nodes. It outlives node control as a real one does, so agent restarts can be rehearsed.
/// </summary>
public sealed class FakeRuntime(TimeProvider time) : IRuntime, IDisposable
{
    private readonly ConcurrentDictionary<string, Entry> _instances = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Channel<string>, bool> _watchers = new();
    private readonly List<string> _journal = [];
    private int _pid = 1000;

    /// <summary>What an instance does; by default it runs until stopped. Called once at each start.</summary>
    public Func<InstanceSpec, FakeBehaviour> Behave { get; set; } = _ => new FakeBehaviour();

    /// <summary>Called before each act, with its name and id; may throw to rehearse crashes.</summary>
    public Action<string, string>? Before { get; set; }

    /// <summary>Name told by the probe.</summary>
    public string Name { get; init; } = "fake";

    /// <summary>Everything that was done, as <c>start id</c>, <c>stop id</c>, <c>exit id code</c>, <c>remove id</c>, in order.</summary>
    public IReadOnlyList<string> Journal
    {
        get
        {
            lock (_journal)
                return [.. _journal];
        }
    }

    /// <summary>The spec that an instance was started with, or null.</summary>
    public InstanceSpec? Spec(string id) => _instances.TryGetValue(id, out Entry? entry) ? entry.Spec : null;

    /// <inheritdoc/>
    public Task<RuntimeProbe> ProbeAsync(CancellationToken cancellation) => Task.FromResult(new RuntimeProbe(true, Name, "1.0", null));

    /// <inheritdoc/>
    public Task<RuntimeOutcome> StartAsync(InstanceSpec spec, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(spec);
        Before?.Invoke("start", spec.Id);
        if (_instances.ContainsKey(spec.Id))
            return Task.FromResult(RuntimeOutcome.Success);
        FakeBehaviour behaviour = Behave(spec);
        if (!behaviour.StartOutcome.Ok)
            return Task.FromResult(behaviour.StartOutcome);
        var entry = new Entry(spec, behaviour, time.GetUtcNow(), Interlocked.Increment(ref _pid));
        if (!_instances.TryAdd(spec.Id, entry))
            return Task.FromResult(RuntimeOutcome.Success);
        Note($"start {spec.Id}");
        WriteLog(spec, behaviour.LogLines);
        if (behaviour.RunsFor is { } runs)
            entry.Timer = time.CreateTimer(_ => End(entry, behaviour.ExitCode, behaviour.OomKilled), null, runs, Timeout.InfiniteTimeSpan);
        Tell(spec.Id);
        return Task.FromResult(RuntimeOutcome.Success);
    }

    /// <inheritdoc/>
    public async Task<RuntimeOutcome> StopAsync(string id, int signal, TimeSpan grace, CancellationToken cancellation)
    {
        Before?.Invoke("stop", id);
        if (!_instances.TryGetValue(id, out Entry? entry) || entry.Ended.Task.IsCompleted)
            return RuntimeOutcome.Success;
        Note($"stop {id}");
        if (entry.Behaviour.IgnoresSignal && grace > TimeSpan.Zero)
        {
            try
            {
                await entry.Ended.Task.WaitAsync(grace, time, cancellation).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                End(entry, 137, false);
            }
        }
        else
            End(entry, entry.Behaviour.IgnoresSignal || grace <= TimeSpan.Zero ? 137 : entry.Behaviour.StopExitCode, false);
        return RuntimeOutcome.Success;
    }

    /// <inheritdoc/>
    public Task<RuntimeOutcome> RemoveAsync(string id, CancellationToken cancellation)
    {
        Before?.Invoke("remove", id);
        if (!_instances.TryGetValue(id, out Entry? entry))
            return Task.FromResult(RuntimeOutcome.Success);
        if (!entry.Ended.Task.IsCompleted)
            return Task.FromResult(new RuntimeOutcome("RemoveError", $"instance {id} runs"));
        _instances.TryRemove(id, out _);
        Note($"remove {id}");
        return Task.FromResult(RuntimeOutcome.Success);
    }

    /// <summary>Ends a running instance as if its process had.</summary>
    public void Exit(string id, int exitCode, bool oomKilled = false)
    {
        if (_instances.TryGetValue(id, out Entry? entry))
            End(entry, exitCode, oomKilled);
    }

    /// <summary>Forgets everything at once, as the machine's reboot does.</summary>
    public void Reboot()
    {
        foreach (string id in _instances.Keys.ToArray())
            if (_instances.TryRemove(id, out Entry? entry))
                entry.Timer?.Dispose();
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<Instance>> ListAsync(CancellationToken cancellation) =>
        Task.FromResult<IReadOnlyList<Instance>>([.. _instances.Values.OrderBy(e => e.Spec.Id, StringComparer.Ordinal).Select(e => e.View())]);

    /// <inheritdoc/>
    public async IAsyncEnumerable<string> WatchAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        Channel<string> channel = Channel.CreateUnbounded<string>();
        _watchers[channel] = true;
        try
        {
            await foreach (string id in channel.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
                yield return id;
        }
        finally
        {
            _watchers.TryRemove(channel, out _);
        }
    }

    /// <inheritdoc/>
    public Task<Instance?> GetAsync(string id, CancellationToken cancellation) =>
        Task.FromResult(_instances.TryGetValue(id, out Entry? entry) ? entry.View() : null);

    /// <inheritdoc/>
    public Task<StreamStart<IProcessStreams>> ExecAsync(string id, ExecRequest request, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (!_instances.TryGetValue(id, out Entry? entry) || entry.Ended.Task.IsCompleted)
            return Task.FromResult<StreamStart<IProcessStreams>>(ApiStatus.NotFound(Kinds.Pod, id));
        (int code, string output) = entry.Behaviour.Exec?.Invoke(request) ?? (0, "");
        return Task.FromResult<StreamStart<IProcessStreams>>(new FakeProcessStreams(request, code, output));
    }

    /// <inheritdoc/>
    public Task<StreamStart<IProcessStreams>> AttachAsync(string id, ExecRequest request, CancellationToken cancellation) => ExecAsync(id, request, cancellation);

    /// <inheritdoc/>
    public Task<InstanceStats?> StatsAsync(string id, CancellationToken cancellation) =>
        Task.FromResult(_instances.TryGetValue(id, out Entry? entry) && !entry.Ended.Task.IsCompleted ? new InstanceStats(0, 1024 * 1024, 1) : null);

    /// <inheritdoc/>
    public Task<RuntimeOutcome> UpdateAsync(string id, InstanceLimits limits, CancellationToken cancellation) => Task.FromResult(RuntimeOutcome.Success);

    /// <inheritdoc/>
    public Task<RuntimeOutcome> ReopenLogAsync(string id, CancellationToken cancellation)
    {
        if (_instances.TryGetValue(id, out Entry? entry))
            WriteLog(entry.Spec, []);
        return Task.FromResult(RuntimeOutcome.Success);
    }

    /// <inheritdoc/>
    public void Dispose() => Reboot();

    private void End(Entry entry, int exitCode, bool oomKilled)
    {
        if (!entry.TryEnd(time.GetUtcNow(), oomKilled ? 137 : exitCode, oomKilled))
            return;
        Note($"exit {entry.Spec.Id} {(oomKilled ? 137 : exitCode).ToString(CultureInfo.InvariantCulture)}");
        Tell(entry.Spec.Id);
    }

    private void WriteLog(InstanceSpec spec, IReadOnlyList<string> lines)
    {
        if (lines.Count == 0 && !Directory.Exists(Path.GetDirectoryName(spec.LogPath)))
            return;
        using StreamWriter log = File.AppendText(spec.LogPath);
        foreach (string line in lines)
            log.Write($"{time.GetUtcNow():yyyy-MM-dd'T'HH:mm:ss.fffffff}00Z stdout F {line}\n");
    }

    private void Note(string text)
    {
        lock (_journal)
            _journal.Add(text);
    }

    private void Tell(string id)
    {
        foreach (Channel<string> watcher in _watchers.Keys)
            watcher.Writer.TryWrite(id);
    }

    private sealed class Entry(InstanceSpec spec, FakeBehaviour behaviour, DateTimeOffset startedAt, int pid)
    {
        private Instance _view = new(spec.Id, InstancePhase.Running, spec.Labels, startedAt, null, 0, false, pid);

        public InstanceSpec Spec { get; } = spec;
        public FakeBehaviour Behaviour { get; } = behaviour;
        public ITimer? Timer { get; set; }
        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Instance View() => Volatile.Read(ref _view);

        public bool TryEnd(DateTimeOffset at, int exitCode, bool oomKilled)
        {
            lock (Ended)
            {
                if (Ended.Task.IsCompleted)
                    return false;
                Timer?.Dispose();
                Volatile.Write(ref _view, _view with { Phase = InstancePhase.Exited, FinishedAt = at, ExitCode = exitCode, OomKilled = oomKilled, Pid = 0 });
                return Ended.TrySetResult();
            }
        }
    }
}

/// <summary>Streams of a hollow command: fixed output, fixed exit code.</summary>
internal sealed class FakeProcessStreams(ExecRequest request, int exitCode, string output) : IProcessStreams
{
    public Stream? Stdin { get; } = request.Stdin ? new MemoryStream() : null;
    public Stream? Stdout { get; } = request.Stdout ? new MemoryStream(System.Text.Encoding.UTF8.GetBytes(output)) : null;
    public Stream? Stderr { get; } = request.Stderr ? new MemoryStream() : null;
    public Task<int> ExitCode { get; } = Task.FromResult(exitCode);

    public void Resize(int columns, int rows)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
