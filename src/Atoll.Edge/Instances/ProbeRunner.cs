using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Streams;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>Result of one probe or hook.</summary>
internal readonly record struct ProbeOutcome(bool Ok, string Message);

/// <summary>Runs probe and hook actions once: exec, httpGet, tcpSocket, sleep. Output that is kept is bounded.</summary>
internal sealed class ProbeRunner(IRuntime runtime, TimeProvider time) : IDisposable
{
    private const int OutputLimit = 10 * 1024;

    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseProxy = false,
        UseCookies = false,
        PooledConnectionLifetime = TimeSpan.Zero, // A probe proves that a new connection works.
        MaxResponseHeadersLength = 32,
        SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true }, // As Kubernetes: probes do not verify.
    });

    public async Task<ProbeOutcome> RunAsync(string instanceId, Container container, ExecAction? exec, HttpGetAction? http, TcpSocketAction? tcp, string host, TimeSpan timeout, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            if (exec is not null)
                return await ExecAsync(instanceId, exec, timeout, both.Token).ConfigureAwait(false);
            if (http is not null)
                return await HttpAsync(container, http, host, both.Token).ConfigureAwait(false);
            if (tcp is not null)
                return await TcpAsync(container, tcp, host, both.Token).ConfigureAwait(false);
            return new ProbeOutcome(false, "missing probe handler");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            string seconds = string.Create(CultureInfo.InvariantCulture, $"{(int)timeout.TotalSeconds}s");
            return new ProbeOutcome(false, exec is not null
                ? $"command timed out: \"{string.Join(' ', exec.Command ?? [])}\" timed out after {seconds}"
                : "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
        }
    }

    private async Task<ProbeOutcome> ExecAsync(string instanceId, ExecAction exec, TimeSpan timeout, CancellationToken cancellation)
    {
        StreamStart<IProcessStreams> start = await runtime.ExecAsync(instanceId, new ExecRequest { Command = exec.Command ?? [], Stdout = true, Stderr = true }, cancellation).ConfigureAwait(false);
        if (start.Value is not { } process)
            return new ProbeOutcome(false, start.Error?.Message ?? "exec failed");
        await using (process.ConfigureAwait(false))
        {
            var output = new StringBuilder();
            Task reading = Task.WhenAll(ReadAsync(process.Stdout, output, cancellation), ReadAsync(process.Stderr, output, cancellation));
            int code = await process.ExitCode.WaitAsync(cancellation).ConfigureAwait(false);
            await reading.WaitAsync(cancellation).ConfigureAwait(false);
            lock (output)
                return new ProbeOutcome(code == 0, output.ToString().TrimEnd());
        }
    }

    private static async Task ReadAsync(Stream? stream, StringBuilder output, CancellationToken cancellation)
    {
        if (stream is null)
            return;
        var buffer = new byte[1024];
        int read;
        while ((read = await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
            lock (output)
                if (output.Length < OutputLimit)
                    output.Append(Encoding.UTF8.GetString(buffer, 0, read));
    }

    private async Task<ProbeOutcome> HttpAsync(Container container, HttpGetAction action, string podHost, CancellationToken cancellation)
    {
        if (Port(container, action.Port) is not { } port)
            return new ProbeOutcome(false, $"couldn't find port: {action.Port.Text}");
        string host = string.IsNullOrEmpty(action.Host) ? podHost : action.Host;
        string scheme = string.Equals(action.Scheme, "HTTPS", StringComparison.OrdinalIgnoreCase) ? "https" : "http";
        string path = action.Path is { Length: > 0 } given ? given.StartsWith('/') ? given : "/" + given : "/";
        string authority = host.Contains(':', StringComparison.Ordinal) && !host.StartsWith('[') ? $"[{host}]" : host;
        if (!Uri.TryCreate($"{scheme}://{authority}:{port}{path}", UriKind.Absolute, out Uri? uri))
            return new ProbeOutcome(false, $"invalid URL of probe: {authority}:{port}{path}");
        using var request = new HttpRequestMessage(HttpMethod.Get, uri);
        request.Headers.TryAddWithoutValidation("User-Agent", "kube-probe/1.32");
        request.Headers.TryAddWithoutValidation("Accept", "*/*");
        request.Headers.ConnectionClose = true;
        foreach (HttpHeader header in action.HttpHeaders ?? [])
        {
            request.Headers.Remove(header.Name);
            if (header.Name.Equals("Host", StringComparison.OrdinalIgnoreCase))
                request.Headers.Host = header.Value;
            else
                request.Headers.TryAddWithoutValidation(header.Name, header.Value);
        }
        try
        {
            using HttpResponseMessage response = await _http.SendAsync(request, cancellation).ConfigureAwait(false);
            int code = (int)response.StatusCode;
            return code is >= 200 and < 400 ? new ProbeOutcome(true, "") : new ProbeOutcome(false, $"HTTP probe failed with statuscode: {code}");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or FormatException)
        {
            return new ProbeOutcome(false, $"Get \"{uri}\": dial tcp {authority}:{port}: {Text(e)}");
        }
    }

    private static async Task<ProbeOutcome> TcpAsync(Container container, TcpSocketAction action, string podHost, CancellationToken cancellation)
    {
        if (Port(container, action.Port) is not { } port)
            return new ProbeOutcome(false, $"couldn't find port: {action.Port.Text}");
        string host = string.IsNullOrEmpty(action.Host) ? podHost : action.Host;
        try
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(host, port, cancellation).ConfigureAwait(false);
            return new ProbeOutcome(true, "");
        }
        catch (SocketException e)
        {
            return new ProbeOutcome(false, $"dial tcp {host}:{port}: {Text(e)}");
        }
    }

    private static string Text(Exception e) => (e as SocketException ?? e.InnerException as SocketException)?.SocketErrorCode switch
    {
        SocketError.ConnectionRefused => "connect: connection refused",
        SocketError.HostUnreachable => "connect: no route to host",
        SocketError.NetworkUnreachable => "connect: network is unreachable",
        SocketError.TimedOut => "i/o timeout",
        _ => e.InnerException?.Message ?? e.Message,
    };

    private static int? Port(Container container, IntOrString port)
    {
        if (!port.IsString)
            return port.Number;
        foreach (ContainerPort candidate in container.Ports ?? [])
            if (candidate.Name == port.Text)
                return candidate.Number;
        return int.TryParse(port.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
    }

    public void Dispose() => _http.Dispose();
}
