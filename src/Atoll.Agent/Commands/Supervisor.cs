using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Atoll.Agent.Identity;
using Atoll.Agent.Members;

namespace Atoll.Agent.Commands;

/// <summary>
/// <c>atoll-agent supervise …</c>: starts the agent with the same arguments, starts it again whenever it ends, and tells the site's
/// other nodes every two seconds that this node is alive, agent or not. It holds the node's lease for pods with an identity, and
/// ends their containers when that has ended (<see cref="IdentityWatch"/>). It holds nothing else, so that it has nothing to crash
/// of, and it needs no restart for an upgrade: replace the binary, end the agent, and the new one is started.
/// </summary>
internal static class Supervisor
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Runs until it is asked to stop; then it stops the agent as well, and instances go on. Ends by itself only where no agent can
    /// ever run: what was typed wrongly (2), a folder that never joined or was reset (1).
    /// </summary>
    public static async Task<int> RunAsync(string[] arguments)
    {
        string state = StateOf(arguments);
        using var stop = new CancellationTokenSource();
        using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask), interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
        var watch = new IdentityWatch(state, Say);
        Task beats = watch.RunAsync(stop.Token), giving = Host.ResidentMemory.RunAsync(TimeProvider.System, stop.Token);
        try
        {
            while (!stop.IsCancellationRequested)
            {
                if (!SiteIdentity.Exists(state))
                {
                    await Console.Error.WriteLineAsync($"error: {SiteIdentity.NoneIn(state)}");
                    return 1;
                }
                long started = Stopwatch.GetTimestamp();
                int code = await RunAgentAsync(arguments, stop.Token);
                if (stop.IsCancellationRequested)
                    break;
                // What was typed wrongly does not become right by being tried again.
                if (code == 2)
                    return code;
                Say($"the agent ended with {code} and is started again");
                if (Stopwatch.GetElapsedTime(started) < s_look)
                    await Task.Delay(s_look, TimeProvider.System, stop.Token);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Asked to stop.
        }
        await Task.WhenAll(beats, giving).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await watch.LeaveAsync();
        return 0;

        void Ask(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
    }

    private static async Task<int> RunAgentAsync(string[] arguments, CancellationToken stop)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { UseShellExecute = false };
        start.ArgumentList.Add("run");
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment[LanBeats.SupervisedVariable] = "1";
        using Process agent = Process.Start(start) ?? throw new InvalidOperationException("the agent could not be started");
        try
        {
            await agent.WaitForExitAsync(stop);
        }
        catch (OperationCanceledException)
        {
            _ = kill(agent.Id, 15);
            await agent.WaitForExitAsync(CancellationToken.None);
        }
        return agent.ExitCode;
    }

    private static string StateOf(string[] arguments)
    {
        int at = Array.IndexOf(arguments, "--state");
        string? joined = Array.Find(arguments, a => a.StartsWith("--state=", StringComparison.Ordinal));
        return Path.GetFullPath(at >= 0 && at + 1 < arguments.Length ? arguments[at + 1] : joined?["--state=".Length..] ?? Path.Combine(Host.AgentOptions.StateRoot, "agent"));
    }

    private static void Say(string what) => Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{TimeProvider.System.GetUtcNow():O} warn Atoll.Supervisor: {what}"));

    [DllImport("libc", SetLastError = true)]
    private static extern int kill(int pid, int signal);
}
