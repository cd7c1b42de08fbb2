using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Atoll.Link;

namespace Atoll.Agent.Members;

/// <summary>
/// Trust between the nodes of a site: either side shows a certificate of the centre's CA with the very names of the own one
/// (site and its identity). A site is one domain of trust: each of its nodes may lead it. Nobody else gets past the
/// handshake, and a node cannot pass for the centre, whose certificate says that it is a server's. Of our name but of an unknown CA:
/// it may have been rotated while this machine was away, which <c>doubt</c> finds out.
/// </summary>
internal sealed class LanTls(Func<LinkIdentity> identity, Action doubt)
{
    /// <summary>The listening side.</summary>
    public SslServerAuthenticationOptions Server() => new()
    {
        ServerCertificate = identity().Certificate,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is X509Certificate2 peer && IsOurs(peer),
    };

    /// <summary>Connects to a peer.</summary>
    public async ValueTask<Stream> ConnectAsync(DnsEndPoint address, CancellationToken cancellation)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(address, cancellation);
            var secure = new SslStream(new NetworkStream(socket, ownsSocket: true), leaveInnerStreamOpen: false);
            await secure.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "atoll-site",
                ClientCertificates = [identity().Certificate],
                EnabledSslProtocols = SslProtocols.Tls13,
                CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is X509Certificate2 peer && IsOurs(peer),
            }, cancellation);
            return secure;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private bool IsOurs(X509Certificate2 peer)
    {
        LinkIdentity me = identity();
        if (!peer.SubjectName.RawData.AsSpan().SequenceEqual(me.Certificate.SubjectName.RawData))
            return false;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(me.Authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        // A site that was alone for longer than its certificates last goes on: what counts inside it is who, not when.
        chain.ChainPolicy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        if (chain.Build(peer))
            return true;
        doubt();
        return false;
    }
}
