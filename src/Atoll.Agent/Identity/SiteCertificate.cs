using Atoll.Api.Enrolment;
using Atoll.Link;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Identity;

/// <summary>
/// Keeps the site's certificate young: it is renewed at 50-70 % of its life, at a moment drawn once for each certificate so that
/// thousands of sites do not come together. A certificate that expired while the line was cut is renewed by the same call:
/// the centre accepts the proof of the key. New links use the new certificate; the running one goes on.
/// </summary>
internal sealed class SiteCertificate(SiteIdentity identity, TimeProvider time, Random random, ILogger logger)
{
    private static readonly TimeSpan s_look = TimeSpan.FromMinutes(10), s_retry = TimeSpan.FromMinutes(1), s_spread = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim _soon = new(0);
    private volatile SiteIdentity _identity = identity;
    private double _share = 0.5 + (random.NextDouble() * 0.2);
    private volatile string? _trust;
    private volatile bool _doubted, _refused;
    private string? _tried;
    private long _asked;
    private TimeSpan _patience;

    /// <summary>The site's identity as it is now.</summary>
    public SiteIdentity Identity => _identity;

    /// <summary>How far the parent's clock is ahead of this machine's: life is counted on the parent's, which gave the dates.</summary>
    public TimeSpan Skew { get; set; }

    /// <summary>What the link shows at its next dial.</summary>
    public LinkIdentity Link(CertificateDates dates) => new(_identity.Certificate, _identity.Authorities, dates);

    /// <summary>The parent says what its sites are to trust (<see cref="TrustBundle.DigestOf"/>): another bundle comes with a new certificate.</summary>
    public void Announce(string? trust)
    {
        if (trust is null || trust == _trust)
            return;
        _trust = trust;
        RenewSoon();
    }

    /// <summary>
    /// A machine of this site's name showed a certificate of a CA that is not known here: ask for a new one, which comes with what is to be
    /// trusted; after <see cref="s_look"/> again, for whoever shows such a certificate may be a stranger.
    /// </summary>
    public void Doubt()
    {
        if (_patience != TimeSpan.Zero && time.GetElapsedTime(_asked) < _patience)
            return;
        if (!_doubted)
            logger.LogWarning("Another machine of this site shows a certificate of a CA that is not known here: a new certificate is asked for, which comes with what is to be trusted");
        _doubted = true;
        RenewSoon();
    }

    /// <summary>The parent refused the certificate: look at once whether it is too old, or was given while the parent's clock was ahead.</summary>
    public void Refused()
    {
        _refused = true;
        RenewSoon();
    }

    private void RenewSoon()
    {
        if (_soon.CurrentCount == 0)
            _soon.Release();
    }

    /// <summary>Renews when it is time, until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        TimeSpan pause = TimeSpan.Zero;
        Task soon = _soon.WaitAsync(cancellation);
        while (true)
        {
            Task wait = pause == TimeSpan.Zero ? Task.CompletedTask : Task.Delay(pause, time, cancellation);
            await Task.WhenAny(wait, soon);
            cancellation.ThrowIfCancellationRequested();
            // One wait at a time: a forgotten one would take the next call for itself.
            if (soon.IsCompleted)
                soon = _soon.WaitAsync(cancellation);
            if (_doubted || IsOtherTrust())
            {
                // All sites hear of it at once.
                await Task.Delay(random.NextDouble() * s_spread, time, cancellation);
                _tried = _trust;
                pause = await TryRenewAsync(cancellation) ? s_look : s_retry;
                _tried = pause == s_retry ? null : _tried;
                (_asked, _patience, _doubted) = (time.GetTimestamp(), pause, false);
                continue;
            }
            pause = IsDue() && !await TryRenewAsync(cancellation) ? s_retry : s_look;
        }
    }

    // Once for each bundle: if what comes is not what was announced, asking again would not help.
    private bool IsOtherTrust() => _trust is { } trust && trust != _tried && trust != TrustBundle.DigestOf(_identity.Authorities);

    private bool IsDue()
    {
        DateTime from = _identity.Certificate.NotBefore.ToUniversalTime(), to = _identity.Certificate.NotAfter.ToUniversalTime();
        DateTime there = time.GetUtcNow().UtcDateTime + Skew;
        bool refused = _refused;
        _refused = false;
        // Not by this machine's word alone, whose clock may be the wrong one.
        return there > from + ((to - from) * _share) || (refused && there < from);
    }

    private async Task<bool> TryRenewAsync(CancellationToken cancellation)
    {
        foreach (string server in _identity.Enrolment.Parents())
        {
            try
            {
                _identity = await EnrolmentClient.RenewAsync(_identity, server, cancellation);
                _share = 0.5 + (random.NextDouble() * 0.2);
                logger.LogInformation("The site's certificate was renewed; it is good until {End}", _identity.Certificate.NotAfter.ToUniversalTime());
                return true;
            }
            catch (Exception e) when (e is InvalidOperationException or InvalidDataException or IOException or UnauthorizedAccessException)
            {
                // Also a disk that is full or failing: the certificate of before is used until the new one is on it.
                logger.LogWarning("The site's certificate could not be renewed at {Server}: {Reason}", server, e.Message);
            }
        }
        return false;
    }
}
