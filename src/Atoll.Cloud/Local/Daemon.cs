namespace Atoll.Cloud.Local;

/// <summary>
/// A process that outlives <c>atoll up</c>, started and stopped through Debian's start-stop-daemon: it keeps a pid file and
/// recognises its process by pid and executable, so a second start changes nothing and a stale pid file stops no stranger.
/// </summary>
/// <param name="Name">Name of its pid and log files.</param>
/// <param name="Folder">Where those files are.</param>
/// <param name="Executable">Path of the program that runs in the end.</param>
/// <param name="Arguments">Its arguments.</param>
/// <param name="NetworkNamespace">Namespace to start it in, or null for the host's.</param>
internal sealed record Daemon(string Name, string Folder, string Executable, IReadOnlyList<string> Arguments, string? NetworkNamespace = null)
{
    /// <summary>File with what it printed.</summary>
    public string LogPath => Path.Combine(Folder, $"{Name}.log");

    private string PidPath => Path.Combine(Folder, $"{Name}.pid");

    /// <summary>True when it runs.</summary>
    public Task<bool> RunsAsync(CancellationToken cancellation) =>
        Tool.SucceedsAsync(cancellation, "start-stop-daemon", "--status", "--pidfile", PidPath, "--exec", Executable);

    /// <summary>Its process id, or null.</summary>
    public async Task<int?> PidAsync(CancellationToken cancellation) =>
        await RunsAsync(cancellation) && int.TryParse(await File.ReadAllTextAsync(PidPath, cancellation), out int pid) ? pid : null;

    /// <summary>Starts it unless it runs; true when it was started now.</summary>
    public async Task<bool> StartAsync(CancellationToken cancellation)
    {
        if (await RunsAsync(cancellation))
            return false;
        Directory.CreateDirectory(Folder);
        // nsenter keeps the mount namespace ('ip netns exec' would not), so what an agent mounts is there for its successor.
        List<string> command = NetworkNamespace is null ? [Executable] : ["/usr/bin/nsenter"];
        List<string> arguments = NetworkNamespace is null ? [.. Arguments] : [$"--net=/run/netns/{NetworkNamespace}", Executable, .. Arguments];
        await Tool.RunAsync(cancellation, "start-stop-daemon",
            ["--start", "--background", "--make-pidfile", "--pidfile", PidPath, "--exec", Executable, "--startas", command[0], "--output", LogPath, "--chdir", "/", "--", .. arguments]);
        return true;
    }

    /// <summary>Stops it: asks, waits, kills. What does not run is no error.</summary>
    public Task StopAsync(CancellationToken cancellation) =>
        Tool.RunAsync(cancellation, "start-stop-daemon", "--stop", "--oknodo", "--remove-pidfile", "--retry", "TERM/10/KILL/5", "--pidfile", PidPath, "--exec", Executable);
}
