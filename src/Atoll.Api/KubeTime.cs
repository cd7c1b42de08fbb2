using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Atoll.Api;

/// <summary>Kubernetes' times: RFC 3339, UTC, whole seconds (metav1.Time) or microseconds (metav1.MicroTime).</summary>
public static class KubeTime
{
    private const string Seconds = "yyyy-MM-dd'T'HH:mm:ss'Z'";
    private const string Microseconds = "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'";

    /// <summary>metav1.Time.</summary>
    public static string Format(DateTimeOffset time) => time.UtcDateTime.ToString(Seconds, CultureInfo.InvariantCulture);

    /// <summary>metav1.MicroTime.</summary>
    public static string FormatMicro(DateTimeOffset time) => time.UtcDateTime.ToString(Microseconds, CultureInfo.InvariantCulture);

    /// <summary>Reads either form.</summary>
    public static bool TryParse(string? text, out DateTimeOffset time) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out time);
}

/// <summary>Writes times as metav1.Time, reads metav1.Time and metav1.MicroTime.</summary>
public sealed class KubeTimeConverter : JsonConverter<DateTimeOffset>
{
    /// <inheritdoc/>
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && KubeTime.TryParse(reader.GetString(), out DateTimeOffset time)
            ? time
            : throw new JsonException("A time must be a string in RFC 3339, such as 2026-01-02T03:04:05Z.");

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) =>
        writer.WriteStringValue(KubeTime.Format(value));
}
