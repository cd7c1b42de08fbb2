using System.Security.Cryptography;
using System.Text;

namespace Atoll.Orchestration.Loop;

/// <summary>Short digests for names and for "has this changed".</summary>
internal static class Digest
{
    /// <summary>So many bytes of SHA-256 of a text, in hexadecimal.</summary>
    public static string Of(string text, int bytes) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, bytes));
}
