using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <content>Exec and attach.</content>
public sealed partial class ContainerRuntime
{
    private int execs;

    /// <inheritdoc/>
    public async Task<StreamStart<IProcessStreams>> ExecAsync(string id, ExecRequest request, CancellationToken cancellation)
    {
        var state = await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        if (state.Monitor is not { } conmon) return ApiStatus.InternalError("No container runtime works on this host: " + state.Reason);
        if (Running(id) is not { } record) return ApiStatus.BadRequest($"container {id} is not running");
        var config = JsonNode.Parse(await File.ReadAllBytesAsync(Path.Join(folders.Bundle(id), "config.json"), cancellation).ConfigureAwait(false));
        var process = config?["process"] as JsonObject ?? throw new InvalidOperationException("The bundle has no process.");
        process["terminal"] = request.Tty;
        process["args"] = new JsonArray([.. request.Command.Select(a => (JsonNode)a)]);
        if (request.Tty && process["env"] is JsonArray environment && !environment.Any(e => ((string?)e)?.StartsWith("TERM=", StringComparison.Ordinal) == true))
            environment.Add((JsonNode)"TERM=xterm");

        // The agent's pid keeps the name apart from those of an exec that an earlier agent left running.
        var bundle = Path.Join(folders.Bundle(record.Id), $"e{Environment.ProcessId}-{Interlocked.Increment(ref execs)}");
        AtomicFile.CreateFolder(bundle);
        try
        {
            var file = Path.Join(bundle, "process.json");
            AtomicFile.Write(file, System.Text.Encoding.UTF8.GetBytes(process.ToJsonString()), durable: false);
            return await ExecStreams.StartAsync(conmon, state.Of(record.Runtime), id, bundle, file, request, cancellation).ConfigureAwait(false);
        }
        catch
        {
            Directory.Delete(bundle, recursive: true);
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task<StreamStart<IProcessStreams>> AttachAsync(string id, ExecRequest request, CancellationToken cancellation)
    {
        await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        if (Running(id) is not { } record) return ApiStatus.BadRequest($"container {id} is not running");
        var socket = await MonitorSocket.ConnectAsync(folders.Bundle(id), cancellation).ConfigureAwait(false);
        return new MonitorStreams(socket, request, record.Tty, record.Stdin, (columns, rows) => Control(id, MonitorStreams.ResizeLine(columns, rows)), ExitOfAsync(record));
    }

    private InstanceRecord? Running(string id) =>
        records.TryGetValue(id, out var record) && record.StartedAt is not null && Observe(record).Phase == InstancePhase.Running ? record : null;

    private async Task<int> ExitOfAsync(InstanceRecord record)
    {
        using var monitor = Posix.OpenPid(record.Monitor.Pid);
        if (monitor is not null && record.Monitor.Alive) await FdPoller.Instance.ReadableAsync(monitor, closing.Token).ConfigureAwait(false);
        return ReadExit(record.Id)?.Code ?? UnknownExitCode;
    }
}
