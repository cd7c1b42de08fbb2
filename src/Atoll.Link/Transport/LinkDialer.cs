using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Atoll.Link;

/// <summary>What a site proves itself with, and whom it trusts.</summary>
/// <param name="Certificate">Client certificate with its private key.</param>
/// <param name="Authorities">The pinned authorities; no other is trusted.</param>
/// <param name="Dates">What the validity dates of the parent's certificate are held against. Identities are checked in any case.</param>
public sealed record LinkIdentity(X509Certificate2 Certificate, X509Certificate2Collection Authorities, CertificateDates Dates = CertificateDates.AskParent)
{
    private SslStreamCertificateContext? _shown;

    /// <summary>What is shown of the certificate: made once, for without it a chain is looked for at every dial.</summary>
    internal SslStreamCertificateContext Shown => _shown is { } made && ReferenceEquals(made.TargetCertificate, Certificate) ? made : _shown = SslStreamCertificateContext.Create(Certificate, null, offline: true);
}

/// <summary>What the validity dates of the parent's certificate are held against.</summary>
public enum CertificateDates
{
    /// <summary>This machine's clock, unless the parent says that it is wrong: then the parent's. A dead battery must not cut a site off.</summary>
    AskParent,

    /// <summary>This machine's clock.</summary>
    Strict,

    /// <summary>Nothing.</summary>
    Ignore,
}

/// <summary>Why a parent could not be dialled.</summary>
public sealed class LinkDialException : IOException
{
    /// <summary>A reason and a message for people.</summary>
    public LinkDialException(LinkError error, string message, Exception? inner = null) : base(message, inner) => Error = error;

    /// <summary>True when the machine answered that nobody listens there, or that it is busy: it is there, and will do soon.</summary>
    public bool Refused => Error == LinkError.Busy || InnerException is SocketException { SocketErrorCode: SocketError.ConnectionRefused };

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
/// <param name="time">Clock of the limits.</param>
/// <param name="patience">Limit for what comes after the connection: <see cref="Patience"/> where there is no other parent; by default, what <paramref name="timeout"/> leaves.</param>
public sealed class LinkDialer(Func<LinkIdentity> identity, TimeProvider time, TimeSpan? timeout = null, TimeSpan? patience = null)
{
    /// <summary>
    /// How long a site that has one parent only waits once that has taken its connection: a parent to which thousands return takes them in one
    /// after the other, and to hang up and dial again costs both ends what they did, and the site its turn.
    /// </summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(45);

    /// <summary>What a dialler names beside HTTP/1.1: a parent that has many at its door knows by it who is a site.</summary>
    public static readonly SslApplicationProtocol Protocol = new("atoll-link/1");

    private static readonly TimeSpan s_wrongClock = TimeSpan.FromMinutes(5), s_next = TimeSpan.FromMilliseconds(250);

    private readonly TimeSpan _timeout = timeout ?? TimeSpan.FromSeconds(5);

    /// <summary>Bytes of the newest connection, from the end of its TLS handshake on.</summary>
    public LineBytes Line { get; private set; } = new();

    /// <summary>How far the parent's clock is ahead of this machine's (within a second), as it said last; null before.</summary>
    public TimeSpan? Skew { get; private set; }

    /// <summary>Bytes of the newest connection as TCP carries them, TLS and its handshake included.</summary>
    public LineBytes Wire { get; private set; } = new();

    /// <summary>Dials <c>https://host:port</c>; throws <see cref="LinkDialException"/>.</summary>
    public async ValueTask<Stream> DialAsync(Uri address, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(address);
        using CancellationTokenSource limit = new(_timeout, time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        Socket? socket = null;
        Stream? stream = null;
        bool isConnected = false, isSecure = false;
        try
        {
            socket = await ConnectAsync(address, both.Token).ConfigureAwait(false);
            isConnected = true;
            if (patience is { } longer)
                limit.CancelAfter(longer);
            LineBytes wire = new();
            stream = new CountedStream(new NetworkStream(socket, ownsSocket: true), wire);
            Wire = wire;
            (SslStream secure, X509Certificate2 certificate, CertificateDates dates) = await SecureAsync(stream, address, both.Token).ConfigureAwait(false);
            (stream, isSecure) = (secure, true);
            LineBytes bytes = new();
            stream = new CountedStream(stream, bytes);
            Line = bytes;
            await WebSocketUpgrade.RequestAsync(stream, address, LinkEndpoint.Path, there => Skew = there - time.GetUtcNow(), both.Token).ConfigureAwait(false);
            CheckDates(certificate, dates, address);
            WebSocket web = WebSocket.CreateFromStream(stream, new WebSocketCreationOptions { IsServer = false, KeepAliveInterval = TimeSpan.Zero });
            return new WebSocketLine(web, stream, socket);
        }
        catch (Exception failure)
        {
            if (stream is not null)
                await stream.DisposeAsync().ConfigureAwait(false);
            socket?.Dispose();
            cancellation.ThrowIfCancellationRequested();
            throw failure switch
            {
                LinkDialException => failure,
                AuthenticationException => new LinkDialException(LinkError.Unauthenticated, $"The parent at {address.Authority} and this site do not trust each other: {failure.Message}", failure),
                IOException { InnerException: AuthenticationException } => new LinkDialException(LinkError.Unauthenticated, $"The parent at {address.Authority} refused this site's certificate.", failure),
                // It proved who it is and then had no time: it is there, and takes in others first.
                OperationCanceledException => new LinkDialException(isSecure ? LinkError.Busy : LinkError.Unreachable, $"The parent at {address.Authority} did not answer within {(isConnected ? patience ?? _timeout : _timeout).TotalSeconds:0.#} s.", failure),
                _ => new LinkDialException(LinkError.Unreachable, $"The parent at {address.Authority} could not be reached: {failure.Message}", failure),
            };
        }
    }

    // Whose clock is right is only known once the parent has said what time it is; nothing was told to it before but who we are.
    private void CheckDates(X509Certificate2 certificate, CertificateDates dates, Uri address)
    {
        DateTime now = time.GetUtcNow().UtcDateTime, from = certificate.NotBefore.ToUniversalTime(), to = certificate.NotAfter.ToUniversalTime();
        if (dates == CertificateDates.Ignore || (now >= from && now <= to))
            return;
        DateTime there = now + (Skew ?? TimeSpan.Zero);
        if (dates == CertificateDates.AskParent && Skew?.Duration() > s_wrongClock && there >= from && there <= to)
            return;
        throw new LinkDialException(LinkError.Unauthenticated, $"The certificate of the parent at {address.Authority} is good from {from:u} to {to:u}, and here it is {now:u}.");
    }

    // A name may stand for several addresses, of which some lead nowhere from here: each is tried when the one before has failed, or has not answered for a while
    // (RFC 8305), and the first to answer is taken.
    private async Task<Socket> ConnectAsync(Uri address, CancellationToken cancellation)
    {
        IPAddress[] names = await Dns.GetHostAddressesAsync(address.IdnHost, cancellation).ConfigureAwait(false);
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var attempts = new Task<Socket>[names.Length];
        for (int i = 0; i < names.Length; i++)
            attempts[i] = AttemptAsync(names[i], i == 0 ? Task.CompletedTask : Task.WhenAny(attempts[i - 1], Task.Delay(s_next, time, over.Token)));
        Task<Socket> taken = attempts[0];
        await foreach (Task<Socket> done in Task.WhenEach(attempts).ConfigureAwait(false))
            if (done.IsCompletedSuccessfully)
            {
                taken = done;
                break;
            }
        await over.CancelAsync().ConfigureAwait(false);
        foreach (Task<Socket> other in attempts)
        {
            await ((Task)other).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (other != taken && other.IsCompletedSuccessfully)
                (await other.ConfigureAwait(false)).Dispose();
        }
        return await taken.ConfigureAwait(false);

        async Task<Socket> AttemptAsync(IPAddress to, Task turn)
        {
            await turn.ConfigureAwait(false);
            Socket socket = new(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                SocketTuning.Apply(socket);
                await socket.ConnectAsync(to, address.Port, over.Token).ConfigureAwait(false);
                return socket;
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }

    private async Task<(SslStream Stream, X509Certificate2 Certificate, CertificateDates Dates)> SecureAsync(Stream plain, Uri address, CancellationToken cancellation)
    {
        LinkIdentity me = identity();
        X509ChainPolicy policy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        policy.CustomTrustStore.AddRange(me.Authorities);
        policy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        X509Certificate2? shown = null;
        SslStream secure = new(plain, leaveInnerStreamOpen: false);
        try
        {
            await secure.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = address.IdnHost,
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificateContext = me.Shown,
                CertificateChainPolicy = policy,
                // Names are not compared: the authority signs server certificates for the parent alone, and a site may reach it
                // under an address that it does not know of (NAT, port mapping).
                RemoteCertificateValidationCallback = (_, certificate, _, errors) => (shown = certificate as X509Certificate2) is not null && (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None,
                ApplicationProtocols = [SslApplicationProtocol.Http11, Protocol],
            }, cancellation).ConfigureAwait(false);
            return (secure, shown!, me.Dates);
        }
        catch (Exception failure)
        {
            await secure.DisposeAsync().ConfigureAwait(false);
            // A parent that has too many at its door hangs up without a word, or does not get to answer; one that does not trust us says so.
            if (failure is IOException { InnerException: null or SocketException } or OperationCanceledException)
                throw new LinkDialException(LinkError.Busy, $"The parent at {address.Authority} hung up during the handshake or did not answer in time: it takes in others first.", failure);
            throw;
        }
    }
}
