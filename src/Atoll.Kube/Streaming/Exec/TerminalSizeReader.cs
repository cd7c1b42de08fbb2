using System.Text.Json;

namespace Atoll.Kube.Streaming.Exec;

/// <summary>Reads a run of <c>{"Width":80,"Height":24}</c> objects, in pieces of any size. What is no such object is skipped.</summary>
internal sealed class TerminalSizeReader(Action<int, int> resize)
{
    /// <summary>Longest object taken.</summary>
    public const int LimitBytes = 256;

    private readonly byte[] _object = new byte[LimitBytes];
    private int _length;

    public void Feed(ReadOnlySpan<byte> bytes)
    {
        foreach (byte b in bytes)
        {
            if (b == '{')
                _length = 0;
            if (_length < LimitBytes)
                _object[_length++] = b;
            if (b == '}')
                Take();
        }
    }

    private void Take()
    {
        int width = 0, height = 0;
        try
        {
            var reader = new Utf8JsonReader(_object.AsSpan(0, _length));
            _length = 0;
            while (reader.Read())
            {
                if (reader.TokenType != JsonTokenType.PropertyName)
                    continue;
                string name = reader.GetString()!;
                if (!reader.Read() || reader.TokenType != JsonTokenType.Number || !reader.TryGetUInt16(out ushort value))
                    return;
                if (name.Equals("width", StringComparison.OrdinalIgnoreCase))
                    width = value;
                else if (name.Equals("height", StringComparison.OrdinalIgnoreCase))
                    height = value;
            }
        }
        catch (JsonException)
        {
            return;
        }
        if (width > 0 && height > 0)
            resize(width, height);
    }
}
