using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
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
        ReadOnlySpan<byte> raw = default;
        string apiVersion = "", kind = "";
        var envelope = new Wire(body[s_magic.Length..]);
        while (envelope.Next(out int field))
        {
            if (field == 1)
            {
                var typeMeta = new Wire(envelope.Bytes);
                while (typeMeta.Next(out int part))
                {
                    if (part == 1)
                        apiVersion = Encoding.UTF8.GetString(typeMeta.Bytes);
                    else if (part == 2)
                        kind = Encoding.UTF8.GetString(typeMeta.Bytes);
                }
            }
            else if (field == 2)
            {
                raw = envelope.Bytes;
            }
        }
        string message = apiVersion.StartsWith("events.k8s.io/", StringComparison.Ordinal) ? "EventsEvent" : kind;
        if (!s_messages.Value.ContainsKey(message))
            throw new FormatException($"{apiVersion} {kind} is not read as protobuf: send JSON");
        JsonObject document = new() { ["kind"] = kind, ["apiVersion"] = apiVersion };
        ReadMessage(raw, message, document, 0);
        return document;
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
                continue; // Newer than the table, or of no use here (managedFields).
            if (field.Name.Length == 0)
                ReadMessage(wire.Bytes, field.Type[1..], into, depth + 1);
            else if (field.Type[0] == '*')
                Append(into, field.Name, Value(ref wire, field.Type[1..], depth));
            else if (field.Type[0] == '{')
                ReadEntry(wire.Bytes, field, into, depth);
            else if (Value(ref wire, field.Type, depth) is { } value && !(field.DropsZero && IsZero(value)))
                into[field.Name] = value;
        }
    }

    private static void Append(JsonObject into, string name, JsonNode? value)
    {
        if (into[name] is not JsonArray list)
            into[name] = list = [];
        list.Add(value);
    }

    private static void ReadEntry(ReadOnlySpan<byte> entry, Field field, JsonObject into, int depth)
    {
        string key = "";
        JsonNode? value = null;
        var wire = new Wire(entry);
        while (wire.Next(out int number))
        {
            if (number == 1)
                key = Encoding.UTF8.GetString(wire.Bytes);
            else if (number == 2)
                value = Value(ref wire, field.Type[1..], depth);
        }
        into.Ensure(field.Name)[key] = value ?? "";
    }

    private static JsonNode? Value(ref Wire wire, string type, int depth)
    {
        switch (type[0])
        {
            case 's':
                return Encoding.UTF8.GetString(wire.Bytes);
            case 'b':
                return wire.Number != 0;
            case 'i':
                return (long)wire.Number;
            case 'd':
                return BitConverter.UInt64BitsToDouble(wire.Number);
            case 'y':
                return Convert.ToBase64String(wire.Bytes);
            case 't' or 'u':
                return Time(wire.Bytes, micro: type[0] == 'u');
            case 'q':
                return Inner(wire.Bytes, 1, out ReadOnlySpan<byte> quantity, out _) ? Encoding.UTF8.GetString(quantity) : "0";
            case 'o':
                Inner(wire.Bytes, 1, out _, out ulong isText);
                Inner(wire.Bytes, 2, out _, out ulong number);
                Inner(wire.Bytes, 3, out ReadOnlySpan<byte> text, out _);
                return isText == 1 ? Encoding.UTF8.GetString(text) : (long)number;
            case 'r':
                return Inner(wire.Bytes, 1, out ReadOnlySpan<byte> raw, out _) && raw.Length > 0 ? Json.Parse(raw, null) : null;
            case '@':
                JsonObject nested = [];
                ReadMessage(wire.Bytes, type[1..], nested, depth + 1);
                return nested;
            default:
                return null;
        }
    }

    private static JsonValue? Time(ReadOnlySpan<byte> message, bool micro)
    {
        Inner(message, 1, out _, out ulong seconds);
        Inner(message, 2, out _, out ulong nanos);
        if (message.IsEmpty || (long)seconds is < -62_135_596_800 or > 253_402_300_799)
            return null;
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
            bytes = wire.Bytes;
            number = wire.Number;
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

    /// <summary>The fields of one message, in order.</summary>
    private ref struct Wire(ReadOnlySpan<byte> data)
    {
        private ReadOnlySpan<byte> _rest = data;

        public ReadOnlySpan<byte> Bytes { get; private set; }

        public ulong Number { get; private set; }

        public bool Next(out int field)
        {
            field = 0;
            if (_rest.IsEmpty)
                return false;
            ulong tag = Varint();
            field = (int)(tag >> 3);
            Bytes = default;
            Number = 0;
            switch (tag & 7)
            {
                case 0:
                    Number = Varint();
                    break;
                case 1:
                    Number = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
                    break;
                case 2:
                    Bytes = Take(Varint());
                    break;
                case 5:
                    Number = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
                    break;
                default:
                    throw new FormatException("the protobuf body is broken");
            }
            return true;
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
