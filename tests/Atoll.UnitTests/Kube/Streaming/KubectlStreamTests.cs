using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Atoll.UnitTests.Kube.Streaming;

/// <summary>Stock kubectls against the streaming endpoints, each that is at hand: WebSocket (new) and SPDY (old) clients that we did not write.</summary>
public sealed class KubectlStreamTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public static TheoryData<string> Kubectls()
    {
        var found = new TheoryData<string>();
        foreach (string? path in new[] { Environment.GetEnvironmentVariable("ATOLL_KUBECTL_DEBIAN"), "/usr/bin/kubectl", "/usr/local/bin/kubectl" })
            if (path is not null && File.Exists(path))
                found.Add(path);
        if (found.Count == 0)
            found.Add("");
        return found;
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Exec_passes_both_outputs_and_the_exit_code(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        Outcome outcome = await RunAsync(kubectl, api, null, "exec", "one", "--", "sh", "-c", "echo out; echo err >&2; exit 7");
        Assert.Equal(("out\n", 7), (outcome.Output, outcome.Code));
        Assert.Contains("err\n", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("command terminated with exit code 7", outcome.Error, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Exec_passes_large_input_and_output_byte_for_byte(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        byte[] data = RandomNumberGenerator.GetBytes(24 * 1024 * 1024);
        Outcome outcome = await RunAsync(kubectl, api, data, "exec", "-i", "one", "--", "cat");
        Assert.Equal(0, outcome.Code);
        Assert.True(data.AsSpan().SequenceEqual(outcome.Bytes), $"{outcome.Bytes.Length} of {data.Length} bytes, or others. {outcome.Error}");
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Exec_ends_when_the_process_does_not_read_its_input(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        Outcome outcome = await RunAsync(kubectl, api, RandomNumberGenerator.GetBytes(4 * 1024 * 1024), "exec", "-i", "one", "--", "sh", "-c", "head -c 5 | wc -c");
        Assert.Equal(("5\n", 0), (outcome.Output, outcome.Code));
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Attach_reaches_the_main_process(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        api.Streams.MainProcess = ["tr", "a-z", "A-Z"];
        Outcome outcome = await RunAsync(kubectl, api, "hello\n"u8.ToArray(), "attach", "-i", "one");
        Assert.Equal(("HELLO\n", 0), (outcome.Output, outcome.Code));
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Cp_copies_a_large_file_both_ways(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        string folder = Directory.CreateTempSubdirectory("atoll-cp-").FullName;
        try
        {
            byte[] data = RandomNumberGenerator.GetBytes(40 * 1024 * 1024);
            string source = Path.Combine(folder, "source"), inside = Path.Combine(folder, "inside"), back = Path.Combine(folder, "back");
            await File.WriteAllBytesAsync(source, data);
            Outcome there = await RunAsync(kubectl, api, null, "cp", source, "one:" + inside);
            Assert.True(there.Code == 0, there.Error);
            Assert.Equal(SHA256.HashData(data), SHA256.HashData(await File.ReadAllBytesAsync(inside)));
            Outcome here = await RunAsync(kubectl, api, null, "cp", "one:" + inside, back);
            Assert.True(here.Code == 0, here.Error);
            Assert.Equal(SHA256.HashData(data), SHA256.HashData(await File.ReadAllBytesAsync(back)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Logs_are_shown_in_part_and_followed(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        for (int i = 0; i < 10; i++)
            api.Streams.Log.Append("line " + i);
        Outcome tail = await RunAsync(kubectl, api, null, "logs", "one", "--tail=2");
        Assert.Equal(("line 8\nline 9\n", 0), (tail.Output, tail.Code));
        Outcome previous = await RunAsync(kubectl, api, null, "logs", "one", "-p");
        Assert.Equal(1, previous.Code);
        Assert.Contains("previous terminated container \"main\" in pod \"one\" not found", previous.Error, StringComparison.Ordinal);
        Task<Outcome> follow = RunAsync(kubectl, api, null, "logs", "-f", "one", "--tail=1");
        while (!api.Streams.LogRequests.Any(r => r.Follow))
            await Task.Delay(20);
        api.Streams.Log.Append("fresh");
        api.Streams.Log.End();
        Assert.Equal("line 9\nfresh\n", (await follow).Output);
        Outcome unnamed = await RunAsync(kubectl, api, null, "logs", "two", "-c", "nobody");
        Assert.Contains("container nobody is not valid for pod two", unnamed.Error, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Exec_with_a_terminal_has_one_and_its_exit_code(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        // kubectl asks for a terminal only when it has one itself.
        Outcome outcome = await RunAsync("script", api, null, "-q", "-e", "-c", $"stty cols 77 rows 33; {kubectl} --server={api.Address} exec -it one -- sh -c 'tty >/dev/null && echo terminal; exit 3'", "/dev/null");
        Assert.Contains("terminal", outcome.Output, StringComparison.Ordinal);
        Assert.Equal(3, outcome.Code);
        Assert.True(api.Streams.Processes.Single().Sizes.TryTake(out (int, int) size, Limit));
        Assert.Equal((77, 33), size);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Port_forward_serves_many_connections_at_once(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        using var echo = new EchoServer();
        api.Streams.Ports[8080] = echo.Port;
        using Process forward = Begin(kubectl, api, "port-forward", "one", ":8080");
        try
        {
            string line = (await forward.StandardOutput.ReadLineAsync().WaitAsync(Limit))!;
            int port = int.Parse(line.Split("127.0.0.1:")[1].Split(' ')[0]);
            await Task.WhenAll(Enumerable.Range(0, 20).Select(i => EchoAsync(port, 512 * 1024 + i))).WaitAsync(Limit);
        }
        finally
        {
            forward.Kill(entireProcessTree: true);
        }
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Port_forward_says_why_a_port_does_not_answer(string kubectl)
    {
        await using TinyPodApi api = await StartAsync(kubectl);
        api.Streams.Ports[8081] = 1;
        using Process forward = Begin(kubectl, api, "port-forward", "one", ":8081");
        try
        {
            string line = (await forward.StandardOutput.ReadLineAsync().WaitAsync(Limit))!;
            int port = int.Parse(line.Split("127.0.0.1:")[1].Split(' ')[0]);
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, port);
            string error = (await forward.StandardError.ReadLineAsync().WaitAsync(Limit))!;
            Assert.Contains("error forwarding port 8081 to pod one", error, StringComparison.Ordinal);
        }
        finally
        {
            forward.Kill(entireProcessTree: true);
        }
    }

    private static async Task EchoAsync(int port, int length)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port);
        NetworkStream stream = client.GetStream();
        byte[] data = RandomNumberGenerator.GetBytes(length), back = new byte[length];
        Task send = stream.WriteAsync(data).AsTask();
        await stream.ReadExactlyAsync(back);
        await send;
        Assert.True(data.AsSpan().SequenceEqual(back));
    }

    private static async Task<TinyPodApi> StartAsync(string kubectl)
    {
        Assert.SkipWhen(kubectl.Length == 0, "No kubectl at hand.");
        return await TinyPodApi.StartAsync();
    }

    private static Process Begin(string program, TinyPodApi api, params string[] arguments)
    {
        var info = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        if (program != "script")
            info.ArgumentList.Add("--server=" + api.Address);
        foreach (string argument in arguments)
            info.ArgumentList.Add(argument);
        info.Environment["KUBECONFIG"] = "/dev/null";
        info.Environment["HOME"] = Path.Combine(Path.GetTempPath(), "atoll-kubectl-" + api.Address.Port);
        return Process.Start(info)!;
    }

    private static async Task<Outcome> RunAsync(string program, TinyPodApi api, byte[]? input, params string[] arguments)
    {
        using Process process = Begin(program, api, arguments);
        using var output = new MemoryStream();
        Task read = process.StandardOutput.BaseStream.CopyToAsync(output);
        Task<string> error = process.StandardError.ReadToEndAsync();
        try
        {
            if (input is not null)
                await process.StandardInput.BaseStream.WriteAsync(input).AsTask().WaitAsync(Limit);
            if (input is not null || program != "script")
                process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The command ended without reading all.
        }
        try
        {
            await Task.WhenAll(process.WaitForExitAsync(), read, error).WaitAsync(Limit);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"kubectl {string.Join(' ', arguments)} hung after {output.Length} bytes: {await error}");
        }
        return new Outcome(output.ToArray(), await error, process.ExitCode);
    }

    private sealed record Outcome(byte[] Bytes, string Error, int Code)
    {
        public string Output => Encoding.UTF8.GetString(Bytes);
    }
}

/// <summary>Sends back what it gets, and ends when its client does.</summary>
public sealed class EchoServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public EchoServer()
    {
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _ = AcceptAsync();
    }

    public int Port { get; }

    public void Dispose() => _listener.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = EchoAsync(await _listener.AcceptTcpClientAsync());
        }
        catch (Exception end) when (end is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private static async Task EchoAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                await client.GetStream().CopyToAsync(client.GetStream());
            }
            catch (IOException)
            {
                // The client left.
            }
        }
    }
}
