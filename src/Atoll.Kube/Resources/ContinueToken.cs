using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Atoll.Kube.Resources;

/// <summary>The token of a next page: the revision of the whole list and the first key of the page. Opaque to clients.</summary>
internal static class ContinueToken
{
    public static string Make(long revision, string start)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("v", "meta.k8s.io/v1");
            writer.WriteString("rv", revision.ToString(CultureInfo.InvariantCulture));
            writer.WriteString("start", start);
            writer.WriteEndObject();
        }
        return Convert.ToBase64String(buffer.ToArray()).TrimEnd('=').Replace('+', '-').Replace('/', '_');
    }

    public static bool TryRead(string token, out long revision, out string start)
    {
        revision = 0;
        start = "";
        if (token.Length > 4096)
            return false;
        try
        {
            string base64 = token.Replace('-', '+').Replace('_', '/');
            byte[] bytes = Convert.FromBase64String(base64.PadRight((base64.Length + 3) / 4 * 4, '='));
            using JsonDocument document = JsonDocument.Parse(bytes);
            start = document.RootElement.GetProperty("start").GetString() ?? "";
            return long.TryParse(document.RootElement.GetProperty("rv").GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out revision)
                && revision > 0 && Encoding.UTF8.GetByteCount(start) <= 1024;
        }
        catch (Exception e) when (e is FormatException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return false;
        }
    }
}
