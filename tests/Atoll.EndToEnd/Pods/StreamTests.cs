using System.Net;
using System.Net.Sockets;
using System.Text;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Streams;

namespace Atoll.EndToEnd.Pods;

/// <summary>Logs, exec, attach, port-forward and host ports of pods.</summary>
[Collection("pods")]
public sealed class StreamTests(PodNode node)
{
    [Fact]
    public async Task Logs_follow_over_rotation_and_can_be_cut_by_lines_and_time()
    {
        await node.ScriptAsync("logs", "i=0; while [ $i -lt 120 ]; do echo \"line $i ........................................................\"; i=$((i+1)); usleep 20000; done; touch /done; sleep 600");
        await node.ReadyAsync("logs");
        KubeObject pod = (await node.GetAsync("logs"))!;
        using var followed = new MemoryStream();
        using var stop = new CancellationTokenSource();
        Task<ApiStatus?> following = node.Control.Streams.LogsAsync(pod, new LogRequest { Follow = true }, followed, stop.Token);
        await PodNode.UntilAsync(async () => (await node.ExecAsync("logs", "test -e /done")).Code == 0, "the script's end");
        string folder = Directory.GetDirectories(Path.Join(node.StateFolder, "logs"), "default_logs_*").Single();
        Assert.Contains(Directory.GetFiles(Path.Join(folder, "c")), f => !f.EndsWith(".log", StringComparison.Ordinal));
        await PodNode.UntilAsync(() => Task.FromResult(Lines(followed).Count >= 120), "all lines followed");
        await node.DeleteAsync("logs");
        await following.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(Enumerable.Range(0, 120), Lines(followed));

        await node.ScriptAsync("tail", "echo one; echo two; sleep 2; printf three; sleep 600");
        await node.ReadyAsync("tail");
        await PodNode.UntilAsync(async () => (await node.LogAsync("tail")).Contains("three", StringComparison.Ordinal), "three");
        Assert.Equal("one\ntwo\nthree", await node.LogAsync("tail"));
        Assert.Equal("two\nthree", await node.LogAsync("tail", new LogRequest { TailLines = 2 }));
        Assert.Equal("three", await node.LogAsync("tail", new LogRequest { SinceSeconds = 1 }));
        Assert.Equal("one\nt", await node.LogAsync("tail", new LogRequest { LimitBytes = 5 }));
        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\S+ one\n", await node.LogAsync("tail", new LogRequest { Timestamps = true }));
        await node.DeleteAsync("tail");
    }

    private static List<int> Lines(MemoryStream stream) =>
        [.. Encoding.UTF8.GetString(stream.ToArray()).Split('\n').Where(l => l.StartsWith("line ", StringComparison.Ordinal) && l.EndsWith('.')).Select(l => int.Parse(l.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture))];

    [Fact]
    public async Task Exec_attach_and_ports_lead_into_the_pod()
    {
        const int HostPort = 38217;
        await node.PodAsync("inside", PodNode.Json($$"""
            {"containers":[{"name":"web","command":["sh","-c","mkdir /w; echo fine > /w/index.html; httpd -f -p 8080 -h /w"],"ports":[{"containerPort":8080,"hostPort":{{HostPort}}}]},
              {"name":"echo","stdin":true,"command":["sh","-c","while read l; do echo got $l; done"]}]}
            """));
        Pod pod = await node.ReadyAsync("inside");
        Assert.Equal((5, "out\n", "err\n"), await node.ExecAsync("inside", "echo out; echo err >&2; exit 5", container: "web"));
        Assert.Equal((0, "typed", ""), await node.ExecAsync("inside", "cat", stdin: "typed", container: "web"));
        (int code, string output, _) = await node.ExecAsync("inside", "read x; stty size; exit 3", tty: true, stdin: "go\n", container: "web");
        Assert.Equal(3, code);
        Assert.Contains("40 100\r\n", output);
        KubeObject value = (await node.GetAsync("inside"))!;
        Assert.Contains("a container name must be specified for pod inside", (await node.Control.Streams.ExecAsync(value, new ExecRequest { Command = ["true"] }, CancellationToken.None)).Error?.Message);

        StreamStart<IProcessStreams> attach = await node.Control.Streams.AttachAsync(value, new ExecRequest { Container = "echo", Stdin = true, Stdout = true, Stderr = true }, CancellationToken.None);
        Assert.Null(attach.Error);
        await using (IProcessStreams streams = attach.Value!)
        {
            await streams.Stdin!.WriteAsync("hello\n"u8.ToArray());
            Assert.Equal("got hello", await new StreamReader(streams.Stdout!).ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)));
        }

        await PodNode.UntilAsync(async () => (await node.Control.Streams.PortForwardAsync(value, 8080, CancellationToken.None)) is { Value: { } up } && await CloseAsync(up), "the server");
        StreamStart<Stream> forward = await node.Control.Streams.PortForwardAsync(value, 8080, CancellationToken.None);
        Assert.EndsWith("fine\n", await GetAsync(forward.Value!));
        Assert.Contains("connection refused", (await node.Control.Streams.PortForwardAsync(value, 8081, CancellationToken.None)).Error?.Message);
        using var direct = new TcpClient();
        await direct.ConnectAsync(IPAddress.Loopback, HostPort);
        Assert.EndsWith("fine\n", await GetAsync(direct.GetStream()));
        using var address = new TcpClient();
        await address.ConnectAsync(IPAddress.Parse(pod.Status!.PodIP!), 8080);
        Assert.EndsWith("fine\n", await GetAsync(address.GetStream()));
        await node.DeleteAsync("inside");
        using var after = new TcpClient();
        await Assert.ThrowsAnyAsync<SocketException>(() => after.ConnectAsync(IPAddress.Loopback, HostPort));
    }

    private static async Task<bool> CloseAsync(Stream stream)
    {
        await stream.DisposeAsync();
        return true;
    }

    private static async Task<string> GetAsync(Stream stream)
    {
        await stream.WriteAsync("GET / HTTP/1.0\r\n\r\n"u8.ToArray());
        return await new StreamReader(stream).ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(60));
    }
}
