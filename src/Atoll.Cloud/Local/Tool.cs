using System.Diagnostics;

namespace Atoll.Cloud.Local;

/// <summary>Runs system programs by argument vector. What they print is kept for the error message and never shown otherwise.</summary>
internal static class Tool
{
    /// <summary>Runs a program to its end; throws with its own words when it fails.</summary>
    public static async Task<string> RunAsync(CancellationToken cancellation, string program, params IReadOnlyList<string> arguments)
    {
        (int code, string output, string error) = await TryAsync(cancellation, program, arguments, null);
        return code == 0 ? output : throw Failed(program, arguments, code, error, output);
    }

    /// <summary>Runs a program with text on its standard input.</summary>
    public static async Task<string> FeedAsync(CancellationToken cancellation, string input, string program, params IReadOnlyList<string> arguments)
    {
        (int code, string output, string error) = await TryAsync(cancellation, program, arguments, input);
        return code == 0 ? output : throw Failed(program, arguments, code, error, output);
    }

    /// <summary>True when the program ends with exit code 0.</summary>
    public static async Task<bool> SucceedsAsync(CancellationToken cancellation, string program, params IReadOnlyList<string> arguments) =>
        (await TryAsync(cancellation, program, arguments, null)).Code == 0;

    // With its arguments, but for a join token: who reads the message may not be who may join.
    private static InvalidOperationException Failed(string program, IReadOnlyList<string> arguments, int code, string error, string output)
    {
        IEnumerable<string> shown = arguments.Select((argument, i) => i > 0 && arguments[i - 1] == "--token" ? "…" : argument);
        return new InvalidOperationException($"{program} {string.Join(' ', shown)}: exit code {code}: {error.Trim()}{output.Trim()}");
    }

    private static async Task<(int Code, string Output, string Error)> TryAsync(CancellationToken cancellation, string program, IReadOnlyList<string> arguments, string? input)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
        if (input is not null)
            await process.StandardInput.WriteAsync(input.AsMemory(), cancellation);
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellation), error = process.StandardError.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        return (process.ExitCode, await output, await error);
    }
}
