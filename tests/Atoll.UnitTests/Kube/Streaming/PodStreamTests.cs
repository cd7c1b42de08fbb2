using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Streaming.Exec;

namespace Atoll.UnitTests.Kube.Streaming;

/// <summary>The endpoints over real Kestrel, with the platform's own HTTP and WebSocket clients.</summary>
public sealed class PodStreamTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData("tailLines=abc", 400, "tailLines")]
    [InlineData("tailLines=-1", 422, "tailLines")]
    [InlineData("limitBytes=0", 422, "limitBytes")]
    [InlineData("sinceSeconds=0", 422, "sinceSeconds")]
    [InlineData("sinceSeconds=99999999999999999999", 400, "sinceSeconds")]
    [InlineData("sinceTime=yesterday", 400, "sinceTime")]
    [InlineData("sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z", 422, "sinceTime")]
    [InlineData("container=nobody", 400, "container nobody is not valid for pod one")]
    public async Task A_wrong_log_parameter_is_named(string query, int code, string message)
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        (int seen, string text) = await StatusAsync(api.Url("one", "log", query));
        Assert.Equal(code, seen);
        Assert.Contains(message, text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("log", "")]
    [InlineData("exec", "command=true&stdout=1")]
    [InlineData("attach", "stdout=1")]
    public async Task A_pod_of_several_containers_needs_a_name(string subresource, string query)
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        Assert.Equal((400, "a container name must be specified for pod two, choose one of: [main side] or one of the init containers: [prepare]"), await StatusAsync(api.Url("two", subresource, query)));
    }

    [Theory]
    [InlineData("exec", "command=true", "you must specify at least 1 of stdin, stdout, stderr")]
    [InlineData("exec", "stdout=1", "you must specify at least one command for the container")]
    [InlineData("exec", "command=true&stdout=1", "Upgrade request required")]
    [InlineData("portforward", "", "Upgrade request required")]
    public async Task A_wrong_exec_is_refused_before_the_upgrade(string subresource, string query, string message)
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        (int code, string text) = await StatusAsync(api.Url("one", subresource, query));
        Assert.Equal(400, code);
        Assert.Contains(message, text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Log_parameters_reach_the_node_and_lines_come_as_they_are_written()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        api.Streams.Log.Append("old", DateTimeOffset.UtcNow.AddHours(-1));
        api.Streams.Log.Append("new");
        using var http = new HttpClient();
        Assert.Equal("new\n", await http.GetStringAsync(api.Url("one", "log", "sinceSeconds=60")));
        Assert.Equal("old", await http.GetStringAsync(api.Url("one", "log", "limitBytes=3")));
        Assert.Matches("^[0-9-]+T[0-9:]+\\.[0-9]{9}Z new\n$", await http.GetStringAsync(api.Url("one", "log", "tailLines=1&timestamps=true")));
        using HttpResponseMessage response = await http.GetAsync(api.Url("one", "log", "follow=true&tailLines=1"), HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/plain", response.Content.Headers.ContentType!.MediaType);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        Assert.Equal("new", await reader.ReadLineAsync().WaitAsync(Limit));
        api.Streams.Log.Append("live");
        Assert.Equal("live", await reader.ReadLineAsync().WaitAsync(Limit));
        // A client that leaves ends the copy at the node.
        response.Dispose();
        await UntilAsync(() => api.Active == 0);
    }

    [Theory]
    [InlineData("v5.channel.k8s.io")]
    [InlineData("v4.channel.k8s.io")]
    [InlineData("v4.base64.channel.k8s.io")]
    [InlineData("channel.k8s.io")]
    public async Task Exec_over_every_subprotocol_gives_outputs_and_status(string protocol)
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        using ClientWebSocket socket = await ConnectAsync(api, "exec", "command=sh&command=-c&command=echo+out;+echo+err+>%262;+exit+7&stdout=1&stderr=true", protocol);
        Channels seen = await ReadAllAsync(socket, protocol);
        Assert.Equal(("out\n", "err\n"), (seen.Text(1), seen.Text(2)));
        if (protocol.StartsWith('v'))
        {
            JsonNode status = JsonNode.Parse(seen.Text(3))!;
            Assert.Equal(("Failure", "NonZeroExitCode"), ((string?)status["status"], (string?)status["reason"]));
            Assert.Equal(("ExitCode", "7"), ((string?)status["details"]!["causes"]![0]!["reason"], (string?)status["details"]!["causes"]![0]!["message"]));
        }
        else
        {
            Assert.Contains("exit status 7", seen.Text(3), StringComparison.Ordinal);
        }
        Assert.Equal(WebSocketCloseStatus.NormalClosure, socket.CloseStatus);
    }

    [Fact]
    public async Task The_close_signal_of_v5_ends_the_input_only()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        using ClientWebSocket socket = await ConnectAsync(api, "exec", "command=sha256sum&stdin=1&stdout=1", "v5.channel.k8s.io");
        byte[] data = RandomNumberGenerator.GetBytes(3_000_000);
        for (int at = 0; at < data.Length; at += 100_000)
            await socket.SendAsync((byte[])[0, .. data.AsSpan(at, 100_000)], WebSocketMessageType.Binary, true, default);
        await socket.SendAsync((byte[])[255, 0], WebSocketMessageType.Binary, true, default);
        Channels seen = await ReadAllAsync(socket, "v5.channel.k8s.io");
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(data)), seen.Text(1), StringComparison.Ordinal);
        Assert.Equal("Success", (string?)JsonNode.Parse(seen.Text(3))!["status"]);
    }

    [Fact]
    public async Task Base64_input_is_decoded_over_any_message_size()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        using ClientWebSocket socket = await ConnectAsync(api, "exec", "command=sh&command=-c&command=head+-c+100001+|+sha256sum&stdin=1&stdout=1", "v4.base64.channel.k8s.io");
        byte[] data = RandomNumberGenerator.GetBytes(100_001);
        await socket.SendAsync(Encoding.ASCII.GetBytes("0" + Convert.ToBase64String(data)), WebSocketMessageType.Text, true, default);
        Channels seen = await ReadAllAsync(socket, "v4.base64.channel.k8s.io");
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(data)), seen.Text(1), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_that_vanishes_ends_the_process_streams()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        ClientWebSocket socket = await ConnectAsync(api, "exec", "command=sleep&command=1000&stdin=1&stdout=1", "v5.channel.k8s.io");
        LocalProcess process = await StartedAsync(api);
        socket.Abort();
        await process.Disposed.Task.WaitAsync(Limit);
        await UntilAsync(() => api.Active == 0);
    }

    [Fact]
    public async Task A_client_that_does_not_read_stops_the_process_and_then_gets_everything()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        using ClientWebSocket socket = await ConnectAsync(api, "exec", "command=head&command=-c&command=64000000&command=/dev/zero&stdout=1", "v5.channel.k8s.io");
        LocalProcess process = await StartedAsync(api);
        // The sockets and pipes between hold a few MB at most; a server without back-pressure would take all 64.
        Assert.NotSame(process.ExitCode, await Task.WhenAny(process.ExitCode, Task.Delay(1500)));
        Assert.Equal(64_000_000, (await ReadAllAsync(socket, "v5.channel.k8s.io")).Length(1));
        Assert.Equal(0, await process.ExitCode);
    }

    [Fact]
    public async Task A_process_that_left_its_output_open_does_not_hold_the_client()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        using ClientWebSocket socket = await ConnectAsync(api, "exec", "command=sh&command=-c&command=echo+done;+sleep+60+%26&stdout=1", "v5.channel.k8s.io");
        Channels seen = await ReadAllAsync(socket, "v5.channel.k8s.io").WaitAsync(ProcessRelay.SilenceAfterExit * 3);
        Assert.Equal(("done\n", "Success"), (seen.Text(1), (string?)JsonNode.Parse(seen.Text(3))!["status"]));
    }

    [Fact]
    public async Task Sizes_reach_the_terminal()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        using ClientWebSocket socket = await ConnectAsync(api, "exec", "command=cat&stdin=1&stdout=1&tty=1", "v4.channel.k8s.io");
        await socket.SendAsync((byte[])[4, .. """{"Width":120,"Height":40}"""u8], WebSocketMessageType.Binary, true, default);
        Assert.True((await StartedAsync(api)).Sizes.TryTake(out (int, int) size, Limit));
        Assert.Equal((120, 40), size);
    }

    [Fact]
    public void Only_whole_and_sensible_sizes_count()
    {
        var seen = new List<(int, int)>();
        var reader = new TerminalSizeReader((columns, rows) => seen.Add((columns, rows)));
        foreach (string piece in new[] { "{\"Width\":8", "0,\"Height\":24}\n{\"width\":1,", "\"height\":2}", "{\"Width\":0,\"Height\":5}", "{\"Width\":-1}", "nonsense}", new string('x', 5000), "{\"Width\":3,\"Height\":4}" })
            reader.Feed(Encoding.ASCII.GetBytes(piece));
        Assert.Equal([(80, 24), (1, 2), (3, 4)], seen);
    }

    [Fact]
    public async Task What_cannot_be_is_refused_before_the_upgrade_and_a_command_that_does_not_start_is_told_on_the_error_channel()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        using ClientWebSocket open = await ConnectAsync(api, "exec", "command=/no/such&stdout=1", "v5.channel.k8s.io");
        JsonNode status = JsonNode.Parse((await ReadAllAsync(open, "v5.channel.k8s.io")).Text(3))!;
        Assert.Equal(("Failure", "InternalError"), ((string?)status["status"], (string?)status["reason"]));
        Assert.Contains("/no/such", (string?)status["message"], StringComparison.Ordinal);
        Assert.Equal(WebSocketCloseStatus.NormalClosure, open.CloseStatus);
        api.Streams.Refused = ApiStatus.BadRequest("container main is not running");
        using var socket = new ClientWebSocket();
        socket.Options.AddSubProtocol("v5.channel.k8s.io");
        socket.Options.CollectHttpResponseDetails = true;
        await Assert.ThrowsAsync<WebSocketException>(() => socket.ConnectAsync(api.Url("one", "exec", "command=true&stdout=1", "ws"), default));
        Assert.Equal(HttpStatusCode.BadRequest, socket.HttpStatusCode);
    }

    // kubectl drops what arrives before it has made its streams: a command that is over in a moment is not to be over before the upgrade.
    [Fact]
    public async Task A_command_starts_after_the_upgrade()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        var gate = new TaskCompletionSource();
        api.Streams.Gate = gate.Task;
        using ClientWebSocket socket = await ConnectAsync(api, "exec", "command=echo&command=inside&stdout=1", "v5.channel.k8s.io");
        gate.SetResult();
        Assert.Equal("inside\n", (await ReadAllAsync(socket, "v5.channel.k8s.io")).Text(1));
    }

    [Fact]
    public async Task Port_forward_over_channels_carries_the_port_and_the_bytes()
    {
        await using TinyPodApi api = await TinyPodApi.StartAsync();
        using var echo = new EchoServer();
        api.Streams.Ports[8080] = echo.Port;
        using ClientWebSocket socket = await ConnectAsync(api, "portforward", "ports=8080", "v4.channel.k8s.io");
        await socket.SendAsync((byte[])[0, .. "hello"u8], WebSocketMessageType.Binary, true, default);
        byte[] port = [0x90, 0x1F];
        Assert.Equal([0, .. port], await ReceiveAsync(socket));
        Assert.Equal([1, .. port], await ReceiveAsync(socket));
        Assert.Equal([0, .. "hello"u8], await ReceiveAsync(socket));
    }

    private static async Task<(int Code, string Message)> StatusAsync(Uri url)
    {
        using var http = new HttpClient();
        using HttpResponseMessage response = await http.GetAsync(url);
        JsonNode status = (await response.Content.ReadFromJsonAsync<JsonNode>())!;
        Assert.Equal("Status", (string?)status["kind"]);
        Assert.Equal((int)response.StatusCode, (int?)status["code"]);
        return ((int)response.StatusCode, (string?)status["message"] ?? "");
    }

    private static async Task<ClientWebSocket> ConnectAsync(TinyPodApi api, string subresource, string query, string protocol)
    {
        var socket = new ClientWebSocket();
        socket.Options.AddSubProtocol(protocol);
        await socket.ConnectAsync(api.Url("one", subresource, query, "ws"), default).WaitAsync(Limit);
        Assert.Equal(protocol, socket.SubProtocol);
        return socket;
    }

    private static async Task<byte[]> ReceiveAsync(ClientWebSocket socket)
    {
        byte[] buffer = new byte[70_000];
        int length = 0;
        while (true)
        {
            ValueWebSocketReceiveResult result = await socket.ReceiveAsync(buffer.AsMemory(length), default).AsTask().WaitAsync(Limit);
            length += result.Count;
            if (result.MessageType == WebSocketMessageType.Close)
                return [];
            if (result.EndOfMessage)
                return buffer[..length];
        }
    }

    private static async Task<Channels> ReadAllAsync(ClientWebSocket socket, string protocol)
    {
        var seen = new Channels();
        bool base64 = protocol.Contains("base64", StringComparison.Ordinal);
        while (await ReceiveAsync(socket) is { Length: > 0 } message)
            seen.Add(base64 ? message[0] - '0' : message[0], base64 ? Convert.FromBase64String(Encoding.ASCII.GetString(message, 1, message.Length - 1)) : message[1..]);
        return seen;
    }

    private static async Task<LocalProcess> StartedAsync(TinyPodApi api)
    {
        await UntilAsync(() => !api.Streams.Processes.IsEmpty);
        return api.Streams.Processes.Single();
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var late = new CancellationTokenSource(Limit);
        while (!condition())
            await Task.Delay(10, late.Token);
    }

    private sealed class Channels
    {
        private readonly Dictionary<int, MemoryStream> _channels = [];

        public void Add(int channel, byte[] data)
        {
            if (!_channels.TryGetValue(channel, out MemoryStream? stream))
                _channels[channel] = stream = new MemoryStream();
            stream.Write(data);
        }

        public string Text(int channel) => _channels.TryGetValue(channel, out MemoryStream? stream) ? Encoding.UTF8.GetString(stream.ToArray()) : "";

        public long Length(int channel) => _channels[channel].Length;
    }
}
