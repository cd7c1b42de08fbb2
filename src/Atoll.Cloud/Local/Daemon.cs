using System.Diagnostics;
using System.Globalization;

namespace Atoll.Cloud.Local;

/// <summary>
/// A process that outlives <c>atoll up</c>, started and stopped through Debian's start-stop-daemon. It is recognised by its pid
/// file and by a command line that names this installation's folder, so a second start changes nothing, a stale pid file
/// stops no stranger, and a program that was built anew still finds what the old one started. Where somebody removed the folder
/// under it, the command line alone tells.
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

    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(500), s_lasting = TimeSpan.FromSeconds(10), s_longestWait = TimeSpan.FromSeconds(30);

    private string PidPath => Path.Combine(Folder, $"{Name}.pid");

    private string RestartsPath => Path.Combine(Folder, $"{Name}.restarts");

    /// <summary>How often <see cref="KeepAsync"/> has started it again.</summary>
    public int Restarts => File.Exists(RestartsPath) && int.TryParse(File.ReadAllText(RestartsPath), CultureInfo.InvariantCulture, out int restarts) ? restarts : 0;

    /// <summary>Its process id while it runs, or null.</summary>
    public int? Pid => Recorded() ?? Searched();

    private int? Recorded()
    {
        try
        {
            return int.TryParse(File.ReadAllText(PidPath), out int pid) && File.ReadAllText($"/proc/{pid}/cmdline").Contains(Path.GetDirectoryName(Folder)!, StringComparison.Ordinal) ? pid : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    // The first arguments say what it is and name its folder: "run --state HOME/sites/alpha".
    private int? Searched()
    {
        string[] wanted = [.. Arguments.Take(3)];
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
            if (int.TryParse(Path.GetFileName(folder), out int pid))
                try
                {
                    string[] line = File.ReadAllText(Path.Combine(folder, "cmdline")).Split('\0');
                    if (line.Length > wanted.Length && Path.GetFileName(line[0]) == Path.GetFileName(Executable) && line[1..(wanted.Length + 1)].SequenceEqual(wanted))
                        return pid;
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // It ended meanwhile.
                }
        return null;
    }

    /// <summary>Starts it unless it runs; true when it was started now.</summary>
    public async Task<bool> StartAsync(CancellationToken cancellation)
    {
        if (Pid is not null)
            return false;
        Directory.CreateDirectory(Folder);
        // It names nobody of ours: at most one that was just killed and not yet reaped.
        File.Delete(PidPath);
        // nsenter keeps the mount namespace ('ip netns exec' would not), so what an agent mounts is there for its successor.
        List<string> command = NetworkNamespace is null ? [Executable] : ["/usr/bin/nsenter"];
        List<string> arguments = NetworkNamespace is null ? [.. Arguments] : [$"--net=/run/netns/{NetworkNamespace}", Executable, .. Arguments];
        await Tool.RunAsync(cancellation, "start-stop-daemon",
            ["--start", "--background", "--make-pidfile", "--pidfile", PidPath, "--startas", command[0], "--output", LogPath, "--chdir", "/", "--", .. arguments]);
        return true;
    }

    /// <summary>
    /// Starts it again whenever it has ended by itself, until cancelled: at once, and after 1 s doubling to 30 s while it does not last
    /// for 10 s. One that was never started, or was stopped, has no pid file and is left as it is.
    /// </summary>
    public async Task KeepAsync(CancellationToken stop)
    {
        TimeSpan wait = TimeSpan.Zero;
        for (long started = 0; ; await Task.Delay(s_look, stop))
            try
            {
                TimeSpan age = Stopwatch.GetElapsedTime(started);
                if (!File.Exists(PidPath))
                    continue;
                if (Pid is not null)
                    wait = age > s_lasting ? TimeSpan.Zero : wait;
                else if (age >= wait)
                {
                    started = Stopwatch.GetTimestamp();
                    wait = wait == TimeSpan.Zero ? TimeSpan.FromSeconds(1) : wait * 2 < s_longestWait ? wait * 2 : s_longestWait;
                    // Never left half-way: whoever stops this process stops what it started after it.
                    if (!await StartAsync(CancellationToken.None))
                        continue;
                    await File.WriteAllTextAsync(RestartsPath, $"{Restarts + 1}", CancellationToken.None);
                    Console.WriteLine($"{DateTimeOffset.UtcNow:O} {Name} had ended and was started again");
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
            {
                Console.WriteLine($"{DateTimeOffset.UtcNow:O} {Name} could not be started again: {e.Message}");
            }
    }

    /// <summary>Stops it: asks, waits, kills. What does not run is no error.</summary>
    public async Task StopAsync(CancellationToken cancellation)
    {
        if (Pid is { } pid)
            await Tool.RunAsync(cancellation, "start-stop-daemon", "--stop", "--oknodo", "--retry", "TERM/10/KILL/5", "--pid", pid.ToString(CultureInfo.InvariantCulture));
        if (File.Exists(PidPath))
            File.Delete(PidPath);
    }
}
