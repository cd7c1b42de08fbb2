using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using Atoll.Api;
using Atoll.Kube.Resources;

namespace Atoll.Kube.Http;

/// <summary>
/// Reads Kubernetes' protobuf bodies, which kubectl sends for <c>create configmap</c> and the like: the envelope
/// (<c>k8s\0</c> and a runtime.Unknown) and the message in it, driven by a table of field numbers. Answers are always
/// JSON, which every client accepts. Source: Kubernetes API concepts, "Protobuf encoding"; the protobuf tags of its types.
/// </summary>
internal static class ProtobufReader
{
    private static readonly byte[] s_magic = [0x6b, 0x38, 0x73, 0x00];
    private static readonly Lazy<Dictionary<string, Dictionary<int, Field>>> s_messages = new(LoadTable);

    /// <summary>The document in a body; throws <see cref="FormatException"/> when it cannot be read.</summary>
    public static JsonObject Parse(ReadOnlySpan<byte> body)
    {
        if (!body.StartsWith(s_magic))
            throw new FormatException("the body does not start as Kubernetes' protobuf does");
        Envelope envelope = ReadEnvelope(body[s_magic.Length..]);
        // The group's own Event is shaped otherwise than the core's.
        string message = envelope.ApiVersion.StartsWith("events.k8s.io/", StringComparison.Ordinal) ? "Events" + envelope.Kind : envelope.Kind;
        if (!s_messages.Value.ContainsKey(message))
            throw new FormatException($"{envelope.ApiVersion} {envelope.Kind} is not read as protobuf: send JSON");
        if (envelope.IsEncoded)
            throw new FormatException("an encoded protobuf message is not read: send it plain");
        JsonObject document = new() { ["kind"] = envelope.Kind, ["apiVersion"] = envelope.ApiVersion };
        try
        {
            ReadMessage(envelope.Raw, message, document, 0);
        }
        catch (Exception e) when (e is FormatException or JsonException)
        {
            throw new FormatException($"the body is not valid protobuf of {envelope.Kind}: {e.Message}", e);
        }
        return document;
    }

    private static Envelope ReadEnvelope(ReadOnlySpan<byte> data)
    {
        var envelope = new Envelope { ApiVersion = "", Kind = "" };
        var wire = new Wire(data);
        while (wire.Next(out int field))
        {
            if (field == 1)
            {
                var typeMeta = new Wire(wire.Bytes);
                while (typeMeta.Next(out int part))
                {
                    if (part == 1)
                        envelope.ApiVersion = Text(typeMeta.Bytes);
                    else if (part == 2)
                        envelope.Kind = Text(typeMeta.Bytes);
                }
            }
            else if (field == 2)
            {
                envelope.Raw = wire.Bytes;
            }
            else if (field == 3)
            {
                envelope.IsEncoded = wire.Bytes.Length > 0;
            }
        }
        return envelope;
    }

    private static void ReadMessage(ReadOnlySpan<byte> data, string message, JsonObject into, int depth)
    {
        if (depth > Json.MaxDepth)
            throw new FormatException($"the message is nested deeper than {Json.MaxDepth} levels");
        Dictionary<int, Field> fields = s_messages.Value[message];
        var wire = new Wire(data);
        while (wire.Next(out int number))
        {
            if (!fields.TryGetValue(number, out Field? field))
                continue; // Newer than the table: Kubernetes, too, drops it silently from protobuf.
            if (field.Name.Length == 0)
                ReadMessage(wire.Bytes, field.Type[1..], into, depth + 1);
            else if (field.Type[0] == '*')
                ReadElements(ref wire, field, into, depth);
            else if (field.Type[0] == '{')
                ReadEntry(wire.Bytes, field, into, depth);
            else if (Value(ref wire, field.Type, depth) is { } value && !(field.DropsZero && IsZero(value)))
                into[field.Name] = value;
        }
    }

    private static void ReadElements(ref Wire wire, Field field, JsonObject into, int depth)
    {
        if (into[field.Name] is not JsonArray list)
            into[field.Name] = list = [];
        if (field.Type[1] == 'i' && wire.IsBytes)
        {
            // Numbers may come packed, though Go's clients send them one by one.
            var packed = new Wire(wire.Bytes);
            while (packed.NextNumber(out ulong number))
                list.Add((JsonNode)JsonValue.Create((long)number));
            return;
        }
        list.Add(Value(ref wire, field.Type[1..], depth));
    }

    private static void ReadEntry(ReadOnlySpan<byte> entry, Field field, JsonObject into, int depth)
    {
        string key = "";
        JsonNode? value = null;
        var wire = new Wire(entry);
        while (wire.Next(out int number))
        {
            if (number == 1)
                key = Text(wire.Bytes);
            else if (number == 2)
                value = Value(ref wire, field.Type[1..], depth);
        }
        into.Ensure(field.Name)[key] = value ?? (field.Type[1] == 'q' ? "0" : "");
    }

    private static JsonNode? Value(ref Wire wire, string type, int depth)
    {
        switch (type[0])
        {
            case 's':
                return Text(wire.Bytes);
            case 'b':
                return wire.Number != 0;
            case 'i':
                return (long)wire.Number;
            case 'y':
                return Convert.ToBase64String(wire.Bytes);
            case 't' or 'u':
                return Time(wire.Bytes, micro: type[0] == 'u');
            case 'q':
                return Inner(wire.Bytes, 1, out ReadOnlySpan<byte> quantity, out _) ? Text(quantity) : "0";
            case 'o':
                Inner(wire.Bytes, 1, out _, out ulong isText);
                Inner(wire.Bytes, 2, out _, out ulong number);
                Inner(wire.Bytes, 3, out ReadOnlySpan<byte> text, out _);
                return isText == 1 ? Text(text) : (long)number;
            case 'r':
                return Inner(wire.Bytes, 1, out ReadOnlySpan<byte> raw, out _) && raw.Length > 0 ? Json.Parse(raw, null) : null;
            case '@':
                JsonObject nested = [];
                ReadMessage(wire.Bytes, type[1..], nested, depth + 1);
                return nested;
            default:
                throw new InvalidOperationException($"the table has no type {type}");
        }
    }

    private static string Text(ReadOnlySpan<byte> bytes) =>
        Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw new FormatException("text is not UTF-8");

    private static JsonValue? Time(ReadOnlySpan<byte> message, bool micro)
    {
        Inner(message, 1, out _, out ulong seconds);
        Inner(message, 2, out _, out ulong nanos);
        if (message.IsEmpty || (long)seconds is <= -62_135_596_800 or > 253_402_300_799)
            return null; // No time, or Go's zero time.
        if (nanos > 999_999_999)
            throw new FormatException("a time has more nanoseconds than a second");
        DateTimeOffset time = DateTimeOffset.FromUnixTimeSeconds((long)seconds).AddTicks((long)nanos / 100);
        return JsonValue.Create(micro ? KubeTime.FormatMicro(time) : KubeTime.Format(time));
    }

    private static bool Inner(ReadOnlySpan<byte> message, int field, out ReadOnlySpan<byte> bytes, out ulong number)
    {
        var wire = new Wire(message);
        while (wire.Next(out int at))
        {
            if (at != field)
                continue;
            bytes = wire.IsBytes ? wire.Bytes : default;
            number = wire.IsBytes ? 0 : wire.Number;
            return true;
        }
        bytes = default;
        number = 0;
        return false;
    }

    private static bool IsZero(JsonNode value) => value is JsonValue scalar &&
        ((scalar.TryGetValue(out string? text) && text.Length == 0) || (scalar.TryGetValue(out long number) && number == 0) || (scalar.TryGetValue(out bool flag) && !flag));

    // Lines: message, then for each field number[?]:name:type. ? drops the zero value (omitempty of a plain field);
    // no name means that the message's fields stand in the outer object.
    private static Dictionary<string, Dictionary<int, Field>> LoadTable()
    {
        var messages = new Dictionary<string, Dictionary<int, Field>>(StringComparer.Ordinal);
        using var reader = new StreamReader(typeof(ProtobufReader).Assembly.GetManifestResourceStream("protobuf-fields")!);
        while (reader.ReadLine() is { } line)
        {
            string[] parts = line.Split(' ');
            var fields = new Dictionary<int, Field>();
            foreach (string part in parts.AsSpan(1))
            {
                string[] field = part.Split(':');
                fields[int.Parse(field[0].TrimEnd('?'), CultureInfo.InvariantCulture)] = new Field(field[1], field[2], field[0].EndsWith('?'));
            }
            messages[parts[0]] = fields;
        }
        return messages;
    }

    private sealed record Field(string Name, string Type, bool DropsZero);

    private ref struct Envelope
    {
        public string ApiVersion;
        public string Kind;
        public bool IsEncoded;
        public ReadOnlySpan<byte> Raw;
    }

    /// <summary>The fields of one message, in order. A value asked as what it is not is broken data.</summary>
    private ref struct Wire(ReadOnlySpan<byte> data)
    {
        private ReadOnlySpan<byte> _rest = data;

        private ReadOnlySpan<byte> _bytes;
        private ulong _number;

        public bool IsBytes { get; private set; }

        public readonly ReadOnlySpan<byte> Bytes => IsBytes ? _bytes : throw new FormatException("a number stands where text or a message belongs");

        public readonly ulong Number => IsBytes ? throw new FormatException("text or a message stands where a number belongs") : _number;

        public bool Next(out int field)
        {
            field = 0;
            if (_rest.IsEmpty)
                return false;
            ulong tag = Varint();
            if (tag >> 3 is 0 or > 536_870_911)
                throw new FormatException("the protobuf body is broken");
            field = (int)(tag >> 3);
            IsBytes = (tag & 7) == 2;
            _bytes = default;
            _number = 0;
            switch (tag & 7)
            {
                case 0:
                    _number = Varint();
                    break;
                case 1:
                    _number = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
                    break;
                case 2:
                    _bytes = Take(Varint());
                    break;
                case 5:
                    _number = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
                    break;
                default:
                    throw new FormatException("the protobuf body is broken");
            }
            return true;
        }

        public bool NextNumber(out ulong number)
        {
            bool more = !_rest.IsEmpty;
            number = more ? Varint() : 0;
            return more;
        }

        private ReadOnlySpan<byte> Take(ulong length)
        {
            if (length > (ulong)_rest.Length)
                throw new FormatException("the protobuf body is cut short");
            ReadOnlySpan<byte> taken = _rest[..(int)length];
            _rest = _rest[(int)length..];
            return taken;
        }

        private ulong Varint()
        {
            ulong value = 0;
            for (int shift = 0; shift < 64; shift += 7)
            {
                byte b = Take(1)[0];
                value |= (ulong)(b & 0x7f) << shift;
                if (b < 0x80)
                    return value;
            }
            throw new FormatException("the protobuf body is broken");
        }
    }
}
