using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Atoll.Api.Enrolment;

/// <summary>
/// A one-time join token: <c>atoll1.SITE.SECRET.PIN</c>. The secret proves that an operator invited this machine; the pin
/// (SHA-256 of the centre's CA certificate, base64url) lets the agent recognise the right centre before it trusts anything.
/// The centre keeps only a hash of the secret.
/// </summary>
public sealed record JoinToken(string Site, string Secret, string Pin)
{
    private const string Version = "atoll1";

    /// <summary>Longest token that is read.</summary>
    public const int MaxLength = 256;

    /// <summary>A token with 160 random bits.</summary>
    public static JoinToken Create(string site, ReadOnlySpan<byte> caCertificate) =>
        new(site, RandomNumberGenerator.GetString("abcdefghijklmnopqrstuvwxyz234567", 32), PinOf(caCertificate));

    /// <summary>The pin of a CA certificate (DER).</summary>
    public static string PinOf(ReadOnlySpan<byte> caCertificate) =>
        Convert.ToBase64String(SHA256.HashData(caCertificate)).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    /// <summary>What the centre keeps of a secret: SHA-256, lower-case hex.</summary>
    public static string HashOf(string secret) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(secret)));

    /// <summary>Reads a token; on false <paramref name="error"/> says what is wrong and what to do.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out JoinToken? token, [NotNullWhen(false)] out string? error)
    {
        token = null;
        error = null;
        string[] parts = (text ?? "").Trim().Split('.');
        if (text is null || text.Length > MaxLength || parts[0] != Version || parts.Length < 4)
            error = "The token is not a join token (atoll1.SITE.SECRET.PIN). Copy the whole command that 'atoll site create' printed.";
        else
        {
            // A site's name may hold dots; secret and pin never do.
            token = new JoinToken(string.Join('.', parts[1..^2]), parts[^2], parts[^1]);
            if (token.Site.Length == 0 || token.Secret.Length != 32 || token.Pin.Length != 43)
            {
                token = null;
                error = "The join token is incomplete: it was cut off while copying. Copy the whole command that 'atoll site create' printed.";
            }
        }
        return token is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Version}.{Site}.{Secret}.{Pin}";
}
