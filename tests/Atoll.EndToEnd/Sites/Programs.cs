using System.Diagnostics;
using System.Text;

namespace Atoll.EndToEnd.Sites;

/// <summary>How a program ended and what it printed.</summary>
public sealed record Outcome(int Code, string Output, string Error);

/// <summary>Runs real programs by argument vector, each with a time limit.</summary>
internal static class Programs
{
    internal static async Task<Outcome> RunAsync(string program, IReadOnlyList<string> arguments, string? input = null, int seconds = 120)
    {
        using Process process = Start(program, arguments);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token), error = process.StandardError.ReadToEndAsync(limit.Token);
            if (input is not null)
                await process.StandardInput.WriteAsync(input.AsMemory(), limit.Token);
            process.StandardInput.Close();
            await process.WaitForExitAsync(limit.Token);
            return new Outcome(process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} did not end within {seconds} s");
        }
    }

    internal static async Task<string> OkAsync(string program, params IReadOnlyList<string> arguments)
    {
        // Long enough for a whole 'atoll up' on a busy machine.
        Outcome outcome = await RunAsync(program, arguments, seconds: 600);
        Assert.True(outcome.Code == 0, $"{program} {string.Join(' ', arguments)} ended with {outcome.Code}: {outcome.Error}{outcome.Output}");
        return outcome.Output;
    }

    internal static Process Start(string program, IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8 };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
    }

    /// <summary>Processes of this machine, in whichever namespace, of which something is true.</summary>
    internal static List<int> Find(Func<string, bool> matches)
    {
        var found = new List<int>();
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
            if (int.TryParse(Path.GetFileName(folder), out int pid) && pid != Environment.ProcessId)
                try
                {
                    if (matches(folder))
                        found.Add(pid);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // It ended while it was looked at.
                }
        return found;
    }

    /// <summary>Processes whose last argument is this one: how tests mark a container's main process.</summary>
    internal static List<int> WithLastArgument(string mark) =>
        Find(folder => File.ReadAllText(Path.Combine(folder, "cmdline")).EndsWith($"\0{mark}\0", StringComparison.Ordinal));

    internal static void Kill(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            process.Kill();
        }
        catch (ArgumentException)
        {
            // It is gone, which is what was asked for.
        }
    }
}

/// <summary>Waits for conditions.</summary>
internal static class Until
{
    internal static async Task TrueAsync(string what, double seconds, Func<Task<bool>> condition, Func<Task<string>>? explain = null)
    {
        var clock = Stopwatch.StartNew();
        while (!await condition())
        {
            if (clock.Elapsed.TotalSeconds > seconds)
                Assert.Fail($"{what}: not within {seconds} s. {(explain is null ? "" : await explain())}");
            await Task.Delay(100);
        }
    }

    internal static Task TrueAsync(string what, double seconds, Func<bool> condition) => TrueAsync(what, seconds, () => Task.FromResult(condition()));
}
