using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Atoll.Api;

/// <summary>A number or a string (Kubernetes' <c>IntOrString</c>): a port by number or name, a count or a percentage.</summary>
public readonly record struct IntOrString
{
    private readonly string? _text;
    private readonly int _number;

    /// <summary>A number.</summary>
    public IntOrString(int number) => _number = number;

    /// <summary>A string.</summary>
    public IntOrString(string text) => _text = text;

    /// <summary>True for a string.</summary>
    public bool IsString => _text is not null;

    /// <summary>The number; 0 for a string.</summary>
    public int Number => _number;

    /// <summary>The string, or the number as text.</summary>
    public string Text => _text ?? _number.ToString(CultureInfo.InvariantCulture);

    /// <summary>
    /// The value against a total: the number itself, or the percentage of <paramref name="total"/>, rounded as asked.
    /// False when the string is no percentage.
    /// </summary>
    public bool TryScale(int total, bool roundUp, out int value)
    {
        value = _number;
        if (_text is null)
            return true;
        if (!_text.EndsWith('%') || !int.TryParse(_text.AsSpan(0, _text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int percent))
            return false;
        long product = (long)total * percent;
        value = (int)(roundUp ? (product + 99) / 100 : product / 100);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => Text;
}

/// <summary>JSON of <see cref="IntOrString"/>.</summary>
public sealed class IntOrStringConverter : JsonConverter<IntOrString>
{
    /// <inheritdoc/>
    public override IntOrString Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
    {
        JsonTokenType.Number => new IntOrString(reader.GetInt32()),
        JsonTokenType.String => new IntOrString(reader.GetString()!),
        _ => throw new JsonException("A number or a string is needed."),
    };

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, IntOrString value, JsonSerializerOptions options)
    {
        if (value.IsString)
            writer.WriteStringValue(value.Text);
        else
            writer.WriteNumberValue(value.Number);
    }
}
