namespace Atoll.Edge.Content;

/// <summary>Work that several callers want at once and one does for all; it is cancelled when the last of them has left.</summary>
internal sealed class SharedWork<T>
{
    private readonly CancellationTokenSource stop = new();
    private Task<T>? task;
    private int waiting;

    internal static async Task<T> RunAsync(Dictionary<string, SharedWork<T>> running, string key, Func<CancellationToken, Task<T>> work, CancellationToken cancellation)
    {
        while (true)
        {
            SharedWork<T>? mine;
            bool joined;
            lock (running)
            {
                if (!running.TryGetValue(key, out mine))
                {
                    mine = new SharedWork<T>();
                    running[key] = mine;
                    var token = mine.stop.Token;
                    mine.task = Task.Run(() => work(token), CancellationToken.None);
                }
                // Work whose last caller left is being cancelled: wait for its end, then begin anew.
                joined = !mine.stop.IsCancellationRequested;
                if (joined) mine.waiting++;
            }
            if (joined) return await mine.WaitAsync(running, key, cancellation).ConfigureAwait(false);
            await ((Task)mine.task!).WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellation.ThrowIfCancellationRequested();
            lock (running)
                if (running.TryGetValue(key, out var current) && current == mine)
                    running.Remove(key);
        }
    }

    private async Task<T> WaitAsync(Dictionary<string, SharedWork<T>> running, string key, CancellationToken cancellation)
    {
        try
        {
            return await task!.WaitAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            lock (running)
                if (--waiting == 0)
                {
                    if (task!.IsCompleted) running.Remove(key);
                    else stop.Cancel();
                }
        }
    }
}

/// <summary>Signal names of image configurations.</summary>
internal static class StopSignals
{
    private static readonly Dictionary<string, int> Numbers = new(StringComparer.Ordinal)
    {
        ["HUP"] = 1, ["INT"] = 2, ["QUIT"] = 3, ["ILL"] = 4, ["TRAP"] = 5, ["ABRT"] = 6, ["BUS"] = 7, ["FPE"] = 8, ["KILL"] = 9, ["USR1"] = 10,
        ["SEGV"] = 11, ["USR2"] = 12, ["PIPE"] = 13, ["ALRM"] = 14, ["TERM"] = 15, ["STKFLT"] = 16, ["CHLD"] = 17, ["CONT"] = 18, ["STOP"] = 19,
        ["TSTP"] = 20, ["TTIN"] = 21, ["TTOU"] = 22, ["URG"] = 23, ["XCPU"] = 24, ["XFSZ"] = 25, ["VTALRM"] = 26, ["PROF"] = 27, ["WINCH"] = 28,
        ["IO"] = 29, ["PWR"] = 30, ["SYS"] = 31,
    };

    /// <summary>The number of <c>SIGTERM</c>, <c>TERM</c>, <c>15</c>, <c>SIGRTMIN+3</c>; 15 for what is none.</summary>
    internal static int Parse(string? text)
    {
        const int terminate = 15, firstRealTime = 34, last = 64;
        if (string.IsNullOrEmpty(text)) return terminate;
        if (int.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var number)) return number is > 0 and <= last ? number : terminate;
        var name = text.ToUpperInvariant();
        if (name.StartsWith("SIG", StringComparison.Ordinal)) name = name[3..];
        if (name.StartsWith("RTMIN+", StringComparison.Ordinal) && int.TryParse(name.AsSpan(6), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var more) && firstRealTime + more <= last) return firstRealTime + more;
        return Numbers.GetValueOrDefault(name, terminate);
    }
}
