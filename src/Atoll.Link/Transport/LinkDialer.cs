using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Atoll.Link;

/// <summary>What a site proves itself with, and whom it trusts.</summary>
/// <param name="Certificate">Client certificate with its private key.</param>
/// <param name="Authorities">The pinned authorities; no other is trusted.</param>
/// <param name="IgnoreDates">True at a site whose clock cannot be trusted: validity dates are ignored, identities are not.</param>
public sealed record LinkIdentity(X509Certificate2 Certificate, X509Certificate2Collection Authorities, bool IgnoreDates = false);

/// <summary>Why a parent could not be dialled.</summary>
public sealed class LinkDialException : IOException
{
    /// <summary>A reason and a message for people.</summary>
    public LinkDialException(LinkError error, string message, Exception? inner = null) : base(message, inner) => Error = error;

    /// <summary>Without a better reason.</summary>
    public LinkDialException() : this(LinkError.Unreachable, "The parent could not be reached.")
    {
    }

    /// <summary>Without a better reason.</summary>
    public LinkDialException(string message) : this(LinkError.Unreachable, message)
    {
    }

    /// <summary>Without a better reason.</summary>
    public LinkDialException(string message, Exception innerException) : this(LinkError.Unreachable, message, innerException)
    {
    }

    /// <summary>The reason.</summary>
    public LinkError Error { get; }
}

/// <summary>Dials a parent: TCP, TLS 1.3 with a client certificate and pinned authorities, upgrade to a WebSocket at <see cref="LinkEndpoint.Path"/>.</summary>
/// <param name="identity">Read at every dial, so that a renewed certificate is used from the next one on.</param>
/// <param name="timeout">Limit for all of it; 5 s by default.</param>
/// <param name="time">Clock of the limit.</param>
public sealed class LinkDialer(Func<LinkIdentity> identity, TimeProvider time, TimeSpan? timeout = null)
{
    private readonly TimeSpan _timeout = timeout ?? TimeSpan.FromSeconds(5);

    /// <summary>Bytes of the newest connection, from the end of its TLS handshake on.</summary>
    public LineBytes Line { get; private set; } = new();

    /// <summary>Dials <c>https://host:port</c>; throws <see cref="LinkDialException"/>.</summary>
    public async ValueTask<Stream> DialAsync(Uri address, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(address);
        using CancellationTokenSource limit = new(_timeout, time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
        Stream? stream = null;
        try
        {
            SocketTuning.Apply(socket);
            await socket.ConnectAsync(address.IdnHost, address.Port, both.Token).ConfigureAwait(false);
            stream = new NetworkStream(socket, ownsSocket: true);
            stream = await SecureAsync(stream, address, both.Token).ConfigureAwait(false);
            LineBytes bytes = new();
            stream = new CountedStream(stream, bytes);
            Line = bytes;
            await WebSocketUpgrade.RequestAsync(stream, address, LinkEndpoint.Path, both.Token).ConfigureAwait(false);
            WebSocket web = WebSocket.CreateFromStream(stream, new WebSocketCreationOptions { IsServer = false, KeepAliveInterval = TimeSpan.Zero });
            return new WebSocketLine(web, stream);
        }
        catch (Exception failure)
        {
            if (stream is not null)
                await stream.DisposeAsync().ConfigureAwait(false);
            socket.Dispose();
            cancellation.ThrowIfCancellationRequested();
            throw failure switch
            {
                LinkDialException => failure,
                AuthenticationException => new LinkDialException(LinkError.Unauthenticated, $"The parent at {address.Authority} and this site do not trust each other: {failure.Message}", failure),
                IOException { InnerException: AuthenticationException } => new LinkDialException(LinkError.Unauthenticated, $"The parent at {address.Authority} refused this site's certificate.", failure),
                OperationCanceledException => new LinkDialException(LinkError.Unreachable, $"The parent at {address.Authority} did not answer within {_timeout.TotalSeconds:0.#} s.", failure),
                _ => new LinkDialException(LinkError.Unreachable, $"The parent at {address.Authority} could not be reached: {failure.Message}", failure),
            };
        }
    }

    private async Task<Stream> SecureAsync(Stream plain, Uri address, CancellationToken cancellation)
    {
        LinkIdentity me = identity();
        X509ChainPolicy policy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        policy.CustomTrustStore.AddRange(me.Authorities);
        if (me.IgnoreDates)
            policy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        SslStream secure = new(plain, leaveInnerStreamOpen: false);
        try
        {
            await secure.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = address.IdnHost,
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificates = [me.Certificate],
                CertificateChainPolicy = policy,
                ApplicationProtocols = [SslApplicationProtocol.Http11],
            }, cancellation).ConfigureAwait(false);
            return secure;
        }
        catch
        {
            await secure.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
