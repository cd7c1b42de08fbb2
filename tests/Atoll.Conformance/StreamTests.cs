using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Atoll.Conformance;

/// <summary>Commands that stream, against processes of this machine (the containers are the end-to-end tests' part).</summary>
public sealed class StreamTests(Cluster cluster)
{
    public static TheoryData<string> Kubectls() => Kubectl.All();

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Logs_exec_and_attach(string program)
    {
        Kubectl kubectl = await PodAsync(program);
        string mark = "line-" + kubectl.Namespace;
        cluster.Streams.Log.Append(mark);
        Assert.Contains(mark + "\n", await kubectl.OkAsync("logs", "one"), StringComparison.Ordinal);
        Assert.Equal(2, (await kubectl.OkAsync("logs", "one", "--tail=1")).Split('\n').Length);
        Assert.Contains("previous terminated container \"main\" in pod \"one\" not found", await kubectl.FailAsync("logs", "one", "-p"), StringComparison.Ordinal);
        using Process follow = kubectl.Begin("logs", "-f", "one", "--tail=0");
        // The log is shared with the other kubectls' cases, so lines are written until one arrives.
        Task<string?> line = follow.StandardOutput.ReadLineAsync();
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!line.IsCompleted)
        {
            cluster.Streams.Log.Append("followed");
            await Task.WhenAny(line, Task.Delay(100, late.Token));
            late.Token.ThrowIfCancellationRequested();
        }
        Assert.NotNull(await line);
        follow.Kill();
        Assert.Equal("HELLO", (await kubectl.FeedAsync("hello", "exec", "-i", "one", "--", "tr", "a-z", "A-Z")));
        Kubectl.Outcome failed = await kubectl.RunAsync(null, "exec", "one", "-c", "main", "--", "sh", "-c", "exit 9");
        Assert.Equal(9, failed.Code);
        Assert.Contains("container nobody", await kubectl.FailAsync("exec", "one", "-c", "nobody", "--", "true"), StringComparison.Ordinal);
        Assert.Equal("again\n", await kubectl.FeedAsync("again\n", "attach", "-i", "one"));
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Exec_with_a_terminal(string program)
    {
        Kubectl kubectl = await PodAsync(program);
        // kubectl asks for a terminal only when it has one: script(1) gives it one.
        using Process script = kubectl.Start("script", ["-q", "-e", "-c", $"{program} --namespace={kubectl.Namespace} exec -it one -- sh -c 'test -t 0 && echo has-terminal; exit 4'", "/dev/null"], null);
        string output = await script.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(60));
        await script.WaitForExitAsync();
        Assert.Contains("has-terminal", output, StringComparison.Ordinal);
        Assert.Equal(4, script.ExitCode);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Cp_both_ways(string program)
    {
        Kubectl kubectl = await PodAsync(program);
        string folder = Directory.CreateTempSubdirectory("atoll-cp-").FullName;
        try
        {
            byte[] data = RandomNumberGenerator.GetBytes(10 * 1024 * 1024 + 17);
            await File.WriteAllBytesAsync(Path.Combine(folder, "source"), data);
            await kubectl.OkAsync("cp", Path.Combine(folder, "source"), "one:" + Path.Combine(folder, "inside"));
            await kubectl.OkAsync("cp", "one:" + Path.Combine(folder, "inside"), Path.Combine(folder, "back"));
            Assert.Equal(SHA256.HashData(data), SHA256.HashData(await File.ReadAllBytesAsync(Path.Combine(folder, "back"))));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Port_forward(string program)
    {
        Kubectl kubectl = await PodAsync(program);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Task answering = AnswerAsync(listener, 5);
        using Process forward = kubectl.Begin("port-forward", "pod/one", ":" + ((IPEndPoint)listener.LocalEndpoint).Port);
        try
        {
            string line = (await forward.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)))!;
            int port = int.Parse(line.Split("127.0.0.1:")[1].Split(' ')[0]);
            using var http = new HttpClient();
            string[] answers = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => http.GetStringAsync($"http://127.0.0.1:{port}/")));
            Assert.All(answers, a => Assert.Equal("hello", a));
            await answering;
        }
        finally
        {
            forward.Kill();
        }
    }

    private async Task<Kubectl> PodAsync(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.Pod("one"), "create", "-f", "-");
        await kubectl.OkAsync("wait", "--for=condition=Ready", "pod/one", "--timeout=60s");
        return kubectl;
    }

    private static async Task AnswerAsync(TcpListener listener, int count)
    {
        for (int i = 0; i < count; i++)
        {
            using TcpClient client = await listener.AcceptTcpClientAsync();
            NetworkStream stream = client.GetStream();
            Assert.True(await stream.ReadAsync(new byte[4096]) > 0);
            await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"u8.ToArray());
        }
    }
}
