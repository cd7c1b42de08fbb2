using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace Atoll.Agent.Members;

/// <summary>
/// A shell beside the supervisor that does one thing: when the node's lease for pods with an identity has ended, it has their containers
/// ended (<c>atoll-agent end-identities</c>). Containers outlive supervisor and agent; when both were killed or stand still, nobody else
/// would. It ends with the supervisor once that is done, or when another one's has taken its place.
/// </summary>
internal sealed class LeaseSentry(string state, Action<string> say)
{
    // $1 the run folder, $2 the agent's program, $3 the state folder, $4 the supervisor's pid. Both clocks count from the machine's boot.
    private const string Script = """
        trap '' HUP INT QUIT TERM
        exec 2> /dev/null
        echo $$ > "$1/identity-sentry" || exit
        ended=0
        while read -r newest < "$1/identity-sentry" && [ "$newest" = $$ ]; do
          left=2000 until=
          read -r boot until rest < "$1/identity-lease"
          if [ -n "$until" ]; then
            read -r up rest < /proc/uptime
            left=$((until - ${up%.*}${up#*.}0))
            if [ $left -le 0 ]; then
              [ "$until" = $ended ] || "$2" end-identities --state "$3"
              ended=$until
              [ -d "/proc/$4" ] || exit
              left=2000
            fi
            [ $left -le 5000 ] || left=5000
          fi
          sleep "$((left / 1000)).$(printf %03d $((left % 1000)))"
        done
        """;

    private Process? _shell;

    /// <summary>Starts it unless it runs.</summary>
    public void Keep(string run)
    {
        if (_shell is { HasExited: false } || !Directory.Exists(run))
            return;
        _shell?.Dispose();
        try
        {
            _shell = Start(run, Environment.ProcessPath!, state, Environment.ProcessId);
        }
        catch (Win32Exception e)
        {
            _shell = null;
            say($"nobody will end pods of StatefulSets should supervisor and agent both be killed: {e.Message}");
        }
    }

    /// <summary>Ends it: the supervisor was asked to end, and has ended the containers itself.</summary>
    public void Stop() => _shell?.Kill(entireProcessTree: true);

    /// <summary>Starts one.</summary>
    internal static Process Start(string run, string program, string state, int supervisor)
    {
        var start = new ProcessStartInfo("/bin/sh") { UseShellExecute = false };
        foreach (string argument in (string[])["-c", Script, "atoll-sentry", run, program, state, supervisor.ToString(CultureInfo.InvariantCulture)])
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }
}
