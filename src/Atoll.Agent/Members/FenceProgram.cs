using System.ComponentModel;
using System.Diagnostics;

namespace Atoll.Agent.Members;

/// <summary>
/// The operator's program that switches the other node of a site of two off. It is started by argument vector, without a shell and with
/// nothing of the agent's environment but <c>PATH</c>; its end with 0 within the limit says that the node is surely off.
/// </summary>
/// <param name="Path">The executable file.</param>
/// <param name="Arguments">Its arguments; <c>{node}</c> in them stands for the node's name.</param>
/// <param name="Limit">Time within which it has to end.</param>
internal sealed record FenceProgram(string Path, IReadOnlyList<string> Arguments, TimeSpan Limit)
{
    /// <summary>What an argument says in place of the node's name.</summary>
    public const string Node = "{node}";

    private const int MaxSaidChars = 200;

    private const UnixFileMode Executable = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute, ByOthers = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    /// <summary>The program as configured; an <see cref="ArgumentException"/> says what is wrong with it.</summary>
    public static FenceProgram Load(string path, IReadOnlyList<string> arguments, double seconds)
    {
        if (!System.IO.Path.IsPathFullyQualified(path))
            throw new ArgumentException($"--fence: '{path}' is not the full path of a program, such as /usr/local/sbin/fence-node.");
        FileSystemInfo? file = File.Exists(path) ? new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true) ?? new FileInfo(path) : null;
        if (file is not FileInfo { Exists: true } || (file.UnixFileMode & Executable) == 0)
            throw new ArgumentException($"--fence: {path} is not an executable file of this machine. Install it, or give another one.");
        if ((file.UnixFileMode & ByOthers) != 0)
            throw new ArgumentException($"--fence: {path} may be changed by others than its owner, and the agent would run what they put there. Forbid it with: chmod go-w {path}");
        if (seconds is not (>= 1 and <= 60))
            throw new ArgumentException($"--fence-seconds: {seconds} is not 1 to 60 seconds.");
        if (arguments.Count > 0 && !arguments.Any(a => a.Contains(Node, StringComparison.Ordinal)))
            throw new ArgumentException($"--fence-argument: none of them has {Node} in it, which stands for the name of the node to be switched off: the program could not know which.");
        return new FenceProgram(path, arguments.Count > 0 ? arguments : [Node], TimeSpan.FromSeconds(seconds));
    }

    /// <summary>Switches a node off: null when it surely is, else what went wrong.</summary>
    public async Task<string?> RunAsync(string node, TimeProvider time, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(Path) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        foreach (string argument in Arguments)
            start.ArgumentList.Add(argument.Replace(Node, node, StringComparison.Ordinal));
        string? path = Environment.GetEnvironmentVariable("PATH");
        start.Environment.Clear();
        start.Environment["PATH"] = path ?? "/usr/sbin:/usr/bin:/sbin:/bin";
        using var limit = new CancellationTokenSource(Limit, time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        Process? process = null;
        try
        {
            process = Process.Start(start)!;
            process.StandardInput.Close();
            Task<string> output = SaidAsync(process.StandardOutput, stop.Token), error = SaidAsync(process.StandardError, stop.Token);
            await process.WaitForExitAsync(stop.Token);
            if (process.ExitCode == 0)
                return null;
            string said = await error is { Length: > 0 } text ? text : await output;
            return $"{Path} ended with {process.ExitCode}{(said.Length > 0 ? $": {said}" : "")}";
        }
        catch (OperationCanceledException)
        {
            End(process);
            cancellation.ThrowIfCancellationRequested();
            return $"{Path} did not end within {Limit.TotalSeconds:0} s";
        }
        catch (Exception e) when (e is Win32Exception or IOException)
        {
            return $"{Path} could not be started: {e.Message}";
        }
        finally
        {
            process?.Dispose();
        }
    }

    private static void End(Process? process)
    {
        try
        {
            process?.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is Win32Exception or AggregateException or InvalidOperationException)
        {
            // It has ended meanwhile, or is not to be ended: either way it did not say that the node is off.
        }
    }

    // All is read, so that the program never waits for a reader; the beginning is kept.
    private static async Task<string> SaidAsync(StreamReader from, CancellationToken cancellation)
    {
        char[] kept = new char[MaxSaidChars], buffer = new char[1024];
        int length = 0;
        for (int read; (read = await from.ReadAsync(buffer, cancellation)) > 0;)
        {
            int more = Math.Min(read, kept.Length - length);
            buffer.AsSpan(0, more).CopyTo(kept.AsSpan(length));
            length += more;
        }
        return string.Concat(new string(kept, 0, length).ReplaceLineEndings(" ").Select(static c => char.IsControl(c) ? ' ' : c)).Trim();
    }
}
