using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Atoll.Api.Objects;
using Atoll.Api.Streams;

namespace Atoll.UnitTests.Kube.Streaming;

/// <summary>A node made of this machine: exec runs real processes, port-forward dials loopback, logs are lines held here.</summary>
public sealed class LocalPodStreams : IPodStreams
{
    public ConcurrentBag<LocalProcess> Processes { get; } = [];

    public ConcurrentBag<(string Pod, ExecRequest Request)> ExecRequests { get; } = [];

    public ConcurrentBag<LogRequest> LogRequests { get; } = [];

    /// <summary>Ports inside the "pod" and where they are on this machine; others are dialled as they are.</summary>
    public ConcurrentDictionary<int, int> Ports { get; } = [];

    /// <summary>What attach attaches to.</summary>
    public string[] MainProcess { get; set; } = ["cat"];

    public LocalLog Log { get; } = new();

    /// <summary>Makes the stream of a forwarded connection; a test replaces it to watch or to break it.</summary>
    public Func<int, CancellationToken, Task<StreamStart<Stream>>>? Dial { get; set; }

    public async Task<ApiStatus?> LogsAsync(KubeObject pod, LogRequest request, Stream output, CancellationToken cancellation)
    {
        LogRequests.Add(request);
        if (request.Previous && Log.Previous is null)
            return ApiStatus.BadRequest($"previous terminated container \"{request.Container}\" in pod \"{pod.Name}\" not found");
        await (request.Previous ? Log.Previous! : Log).CopyAsync(request, output, cancellation);
        return null;
    }

    /// <summary>What every exec and attach is refused with.</summary>
    public ApiStatus? Refused { get; set; }

    public ApiStatus? Refusal(KubeObject pod, ExecRequest request, bool attach) => Refused;

    /// <summary>No command starts before this.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    public async Task<StreamStart<IProcessStreams>> ExecAsync(KubeObject pod, ExecRequest request, CancellationToken cancellation)
    {
        ExecRequests.Add((pod.Name, request));
        await Gate.WaitAsync(cancellation);
        return Start(request, request.Command);
    }

    public Task<StreamStart<IProcessStreams>> AttachAsync(KubeObject pod, ExecRequest request, CancellationToken cancellation) => Task.FromResult(Start(request, MainProcess));

    public async Task<StreamStart<Stream>> PortForwardAsync(KubeObject pod, int port, CancellationToken cancellation)
    {
        if (Dial is not null)
            return await Dial(port, cancellation);
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, Ports.GetValueOrDefault(port, port), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException refused)
        {
            socket.Dispose();
            return ApiStatus.InternalError($"dial tcp 127.0.0.1:{port}: {refused.Message}");
        }
    }

    private StreamStart<IProcessStreams> Start(ExecRequest request, IReadOnlyList<string> command)
    {
        var info = new ProcessStartInfo { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        if (request.Tty)
        {
            // A real terminal for the command; script(1) passes its exit code on.
            info.FileName = "script";
            foreach (string argument in new[] { "-q", "-e", "-c", string.Join(' ', command.Select(Quote)), "/dev/null" })
                info.ArgumentList.Add(argument);
        }
        else
        {
            info.FileName = command[0];
            foreach (string argument in command.Skip(1))
                info.ArgumentList.Add(argument);
        }
        try
        {
            var process = new LocalProcess(Process.Start(info)!, request);
            Processes.Add(process);
            return process;
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            return ApiStatus.InternalError($"error executing command in container: exec: \"{command[0]}\": {missing.Message}");
        }
    }

    private static string Quote(string text) => "'" + text.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}

/// <summary>A real process's streams.</summary>
public sealed class LocalProcess : IProcessStreams
{
    private readonly Process _process;

    public LocalProcess(Process process, ExecRequest request)
    {
        _process = process;
        if (request.Stdin)
            Stdin = process.StandardInput.BaseStream;
        else
            process.StandardInput.Close();
        Stdout = request.Stdout ? process.StandardOutput.BaseStream : null;
        Stderr = request.Stderr ? process.StandardError.BaseStream : null;
        ExitCode = WaitAsync();
    }

    public Stream? Stdin { get; }

    public Stream? Stdout { get; }

    public Stream? Stderr { get; }

    public Task<int> ExitCode { get; }

    public BlockingCollection<(int Columns, int Rows)> Sizes { get; } = [];

    /// <summary>Ends when the streams were disposed.</summary>
    public TaskCompletionSource Disposed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Resize(int columns, int rows) => Sizes.Add((columns, rows));

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        await ExitCode;
        Disposed.TrySetResult();
    }

    private async Task<int> WaitAsync()
    {
        var exited = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _process.EnableRaisingEvents = true;
        _process.Exited += (_, _) => exited.TrySetResult();
        if (_process.HasExited)
            exited.TrySetResult();
        await exited.Task;
        return _process.ExitCode;
    }
}

/// <summary>Lines of a log with the times at which they were written.</summary>
public sealed class LocalLog
{
    private readonly List<(DateTimeOffset Time, string Line)> _lines = [];
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _ended;

    public LocalLog? Previous { get; set; }

    public void Append(string line, DateTimeOffset? time = null)
    {
        lock (_lines)
            _lines.Add((time ?? DateTimeOffset.UtcNow, line));
        Wake();
    }

    public void End()
    {
        lock (_lines)
            _ended = true;
        Wake();
    }

    public async Task CopyAsync(LogRequest request, Stream output, CancellationToken cancellation)
    {
        DateTimeOffset since = request.SinceTime ?? (request.SinceSeconds is { } seconds ? DateTimeOffset.UtcNow.AddSeconds(-seconds) : DateTimeOffset.MinValue);
        int at = 0;
        long left = request.LimitBytes ?? long.MaxValue;
        if (request.TailLines is { } tail)
            lock (_lines)
                at = (int)Math.Max(0, _lines.Count - tail);
        while (left > 0)
        {
            Task wait;
            (DateTimeOffset Time, string Line)? next = null;
            lock (_lines)
            {
                wait = _changed.Task;
                if (at < _lines.Count)
                    next = _lines[at++];
                else if (_ended || !request.Follow)
                    return;
            }
            if (next is not { } line)
            {
                await wait.WaitAsync(cancellation);
                continue;
            }
            if (line.Time < since)
                continue;
            byte[] bytes = Encoding.UTF8.GetBytes((request.Timestamps ? line.Time.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'00Z' ") : "") + line.Line + "\n");
            await output.WriteAsync(bytes.AsMemory(0, (int)Math.Min(bytes.Length, left)), cancellation);
            left -= bytes.Length;
        }
    }

    private void Wake()
    {
        TaskCompletionSource changed;
        lock (_lines)
        {
            changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        changed.SetResult();
    }
}
