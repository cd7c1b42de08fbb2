using System.Diagnostics;
using System.Text;

namespace Atoll.Conformance;

/// <summary>One stock kubectl in one namespace of its own.</summary>
public sealed class Kubectl
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(90);
    private static int s_count;
    private readonly Cluster _cluster;

    private Kubectl(string program, Cluster cluster)
    {
        Program = program;
        _cluster = cluster;
        Namespace = "case-" + Interlocked.Increment(ref s_count);
    }

    public string Program { get; }

    public string Namespace { get; }

    /// <summary>Every kubectl at hand: Debian's, and one on the PATH. Never empty, so that a machine without any shows a skipped case.</summary>
    public static TheoryData<string> All()
    {
        var found = new TheoryData<string>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (string? path in Candidates())
            if (path is not null && File.Exists(path) && seen.Add(Path.GetFullPath(path)))
                found.Add(path);
        if (found.Count == 0)
            found.Add("");
        return found;
    }

    /// <summary>A kubectl with a fresh namespace.</summary>
    public static async Task<Kubectl> StartAsync(string program, Cluster cluster)
    {
        Assert.SkipWhen(program.Length == 0, "No kubectl at hand: run eng/install-kubectl.sh.");
        var kubectl = new Kubectl(program, cluster);
        await kubectl.OkAsync("create", "namespace", kubectl.Namespace);
        return kubectl;
    }

    /// <summary>Runs a command that must succeed and gives its output.</summary>
    public async Task<string> OkAsync(params string[] arguments)
    {
        Outcome outcome = await RunAsync(null, arguments);
        Assert.True(outcome.Code == 0, $"kubectl {string.Join(' ', arguments)} ended with {outcome.Code}: {outcome.Output}{outcome.Error}");
        return outcome.Output;
    }

    /// <summary>Runs a command that reads <paramref name="input"/> and must succeed.</summary>
    public async Task<string> FeedAsync(string input, params string[] arguments)
    {
        Outcome outcome = await RunAsync(Encoding.UTF8.GetBytes(input), arguments);
        Assert.True(outcome.Code == 0, $"kubectl {string.Join(' ', arguments)} ended with {outcome.Code}: {outcome.Output}{outcome.Error}");
        return outcome.Output;
    }

    /// <summary>Runs a command that must fail and gives what it said.</summary>
    public async Task<string> FailAsync(params string[] arguments)
    {
        Outcome outcome = await RunAsync(null, arguments);
        Assert.True(outcome.Code != 0, $"kubectl {string.Join(' ', arguments)} succeeded: {outcome.Output}");
        return outcome.Error;
    }

    public async Task<Outcome> RunAsync(byte[]? input, params string[] arguments)
    {
        using Process process = Begin(arguments);
        using var output = new MemoryStream();
        Task read = process.StandardOutput.BaseStream.CopyToAsync(output);
        Task<string> error = process.StandardError.ReadToEndAsync();
        try
        {
            if (input is not null)
                await process.StandardInput.BaseStream.WriteAsync(input).AsTask().WaitAsync(s_limit);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading all.
        }
        try
        {
            await Task.WhenAll(process.WaitForExitAsync(), read, error).WaitAsync(s_limit);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"kubectl {string.Join(' ', arguments)} did not end: {Encoding.UTF8.GetString(output.ToArray())}{await error}");
        }
        return new Outcome(output.ToArray(), await error, process.ExitCode);
    }

    /// <summary>Starts a command that runs until it is killed.</summary>
    public Process Begin(params string[] arguments) => Start(Program, arguments, environment: null);

    public Process Start(string program, string[] arguments, Dictionary<string, string>? environment)
    {
        var info = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
            info.ArgumentList.Add(argument);
        if (program == Program)
        {
            info.ArgumentList.Insert(0, "--namespace=" + Namespace);
            // Each its own cache: two versions share a format only by luck.
            info.ArgumentList.Insert(0, "--cache-dir=" + Path.Combine(Path.GetDirectoryName(_cluster.Kubeconfig)!, "cache-" + Namespace));
        }
        info.Environment["KUBECONFIG"] = _cluster.Kubeconfig;
        info.Environment["HOME"] = Path.GetDirectoryName(_cluster.Kubeconfig);
        foreach ((string name, string value) in environment ?? Environment)
            info.Environment[name] = value;
        return Process.Start(info)!;
    }

    /// <summary>Further variables of every command.</summary>
    public Dictionary<string, string> Environment { get; } = [];

    /// <summary>Repeats a command until its output contains a text.</summary>
    public async Task<string> UntilAsync(string text, params string[] arguments)
    {
        using var late = new CancellationTokenSource(s_limit);
        while (true)
        {
            Outcome outcome = await RunAsync(null, arguments);
            if (outcome.Output.Contains(text, StringComparison.Ordinal))
                return outcome.Output;
            Assert.False(late.IsCancellationRequested, $"kubectl {string.Join(' ', arguments)} never said \"{text}\": {outcome.Output}{outcome.Error}");
            await Task.Delay(200, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Waits until nothing is selected any more. (kubectl wait --for=delete of old fails when it is so from the start.)</summary>
    public async Task GoneAsync(string resource, string selector)
    {
        using var late = new CancellationTokenSource(s_limit);
        while (await OkAsync("get", resource, "-l", selector, "-o", "name") is { Length: > 0 } left)
        {
            Assert.False(late.IsCancellationRequested, "still there: " + left);
            await Task.Delay(200, TestContext.Current.CancellationToken);
        }
    }

    private static IEnumerable<string?> Candidates()
    {
        yield return System.Environment.GetEnvironmentVariable("ATOLL_KUBECTL_DEBIAN");
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Atoll.slnx")))
                yield return Path.Combine(at.FullName, "artifacts/tools/kubectl-1.20/usr/bin/kubectl");
        foreach (string folder in (System.Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'))
            if (folder.Length > 0 && File.Exists(Path.Combine(folder, "kubectl")))
            {
                yield return Path.Combine(folder, "kubectl");
                yield break;
            }
    }

    public sealed record Outcome(byte[] Bytes, string Error, int Code)
    {
        public string Output => Encoding.UTF8.GetString(Bytes);
    }
}
