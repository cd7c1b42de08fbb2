using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Atoll.Link;

/// <summary>The HTTP/1.1 upgrade to a WebSocket (RFC 6455, section 4), from the client's side: small enough to do without an HTTP client in memory.</summary>
internal static class WebSocketUpgrade
{
    private const int MaxHeadBytes = 8192;

    /// <summary>The accept value that belongs to a key.</summary>
    public static string Accept(string key) =>
        Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));

    /// <summary>Asks for the upgrade and tells <paramref name="parentTime"/> what time it is there, as the answer says; throws <see cref="LinkDialException"/> when the server does not grant it.</summary>
    public static async Task RequestAsync(Stream stream, Uri address, string path, Action<DateTimeOffset> parentTime, CancellationToken cancellation)
    {
        string key = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
        string request = $"GET {path} HTTP/1.1\r\nHost: {address.Authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n";
        await stream.WriteAsync(Encoding.ASCII.GetBytes(request), cancellation).ConfigureAwait(false);
        await stream.FlushAsync(cancellation).ConfigureAwait(false);
        string[] head = (await ReadHeadAsync(stream, cancellation).ConfigureAwait(false)).Split("\r\n");
        string status = head[0].Split(' ') is { Length: >= 2 } parts && parts[0] == "HTTP/1.1" ? parts[1] : "";
        if (Field(head, "Date") is { } date && DateTimeOffset.TryParseExact(date, "r", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time))
            parentTime(time);
        if (status != "101")
        {
            throw new LinkDialException(status switch
            {
                "401" => LinkError.Unauthenticated,
                "403" => LinkError.Revoked,
                "429" or "503" => LinkError.Busy,
                _ => LinkError.Unreachable,
            }, $"The parent at {address.Authority} answered the link's request with status {(status.Length > 0 ? status : "unknown")}.");
        }
        if (Field(head, "Sec-WebSocket-Accept") != Accept(key))
            throw new LinkDialException(LinkError.Unreachable, $"What answers at {address.Authority} is no WebSocket server.");
    }

    private static string? Field(string[] head, string name)
    {
        foreach (string line in head)
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0 && line.AsSpan(0, colon).Equals(name, StringComparison.OrdinalIgnoreCase))
                return line[(colon + 1)..].Trim();
        }
        return null;
    }

    private static async Task<string> ReadHeadAsync(Stream stream, CancellationToken cancellation)
    {
        // Byte by byte (from the TLS layer's buffer): not one byte beyond the head may be taken.
        byte[] head = new byte[MaxHeadBytes];
        for (int length = 0; length < MaxHeadBytes; length++)
        {
            if (await stream.ReadAsync(head.AsMemory(length, 1), cancellation).ConfigureAwait(false) == 0)
                throw new IOException("The connection ended during the upgrade.");
            if (length >= 3 && head.AsSpan(length - 3, 4).SequenceEqual("\r\n\r\n"u8))
                return Encoding.ASCII.GetString(head, 0, length + 1);
        }
        throw new LinkDialException(LinkError.Unreachable, "The answer to the upgrade is too long.");
    }
}
