using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Kube.Http;

namespace Atoll.UnitTests.Kube.Protobuf;

/// <summary>Makes a random message of the table, as protobuf and as the JSON that must come of it.</summary>
internal sealed class MessageWriter(Random random)
{
    private static readonly Dictionary<string, string[][]> s_table = Load();

    public static IReadOnlyCollection<string> Messages => s_table.Keys;

    /// <summary>The fields of a message: number (with ? when a zero is dropped), name and type.</summary>
    public static string[][] Fields(string message) => s_table[message];

    public static byte[] Wrap(string apiVersion, string kind, byte[] message)
    {
        var type = new MemoryStream();
        Bytes(type, 1, Encoding.UTF8.GetBytes(apiVersion));
        Bytes(type, 2, Encoding.UTF8.GetBytes(kind));
        var body = new MemoryStream();
        body.Write("k8s\0"u8);
        Bytes(body, 1, type.ToArray());
        Bytes(body, 2, message);
        Bytes(body, 3, []);
        Bytes(body, 4, []);
        return body.ToArray();
    }

    public (byte[] Wire, JsonObject Json) Message(string message, int depth = 0)
    {
        var wire = new MemoryStream();
        JsonObject json = [];
        Fill(message, wire, json, depth);
        return (wire.ToArray(), json);
    }

    public static void Bytes(Stream to, int field, byte[] value)
    {
        Varint(to, (ulong)field << 3 | 2);
        Varint(to, (ulong)value.Length);
        to.Write(value);
    }

    public static void Number(Stream to, int field, long value)
    {
        Varint(to, (ulong)field << 3);
        Varint(to, (ulong)value);
    }

    public static void Varint(Stream to, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            to.WriteByte((byte)(value | 0x80));
        to.WriteByte((byte)value);
    }

    private void Fill(string message, MemoryStream wire, JsonObject json, int depth)
    {
        foreach (string[] field in s_table[message])
        {
            if (random.Next(3) == 0 || (depth > 7 && field[2].Contains('@', StringComparison.Ordinal)))
                continue;
            bool dropsZero = field[0].EndsWith('?');
            int number = int.Parse(field[0].TrimEnd('?'), CultureInfo.InvariantCulture);
            if (field[1].Length == 0)
            {
                var inner = new MemoryStream();
                Fill(field[2][1..], inner, json, depth + 1);
                Bytes(wire, number, inner.ToArray());
            }
            else if (field[2][0] == '*')
            {
                var list = new JsonArray();
                for (int i = random.Next(1, 4); i > 0; i--)
                    list.Add(Value(field[2][1..], wire, number, depth, out _));
                json[field[1]] = list;
            }
            else if (field[2][0] == '{')
            {
                json[field[1]] = Map(field[2][1..], wire, number, depth);
            }
            else
            {
                JsonNode? value = Value(field[2], wire, number, depth, out bool zero);
                if (value is not null && !(zero && dropsZero))
                    json[field[1]] = value;
            }
        }
    }

    private JsonObject Map(string type, MemoryStream wire, int number, int depth)
    {
        JsonObject map = [];
        for (int i = random.Next(1, 4); i > 0; i--)
        {
            var entry = new MemoryStream();
            Bytes(entry, 1, Encoding.UTF8.GetBytes($"key{i}"));
            map[$"key{i}"] = Value(type, entry, 2, depth, out _);
            Bytes(wire, number, entry.ToArray());
        }
        return map;
    }

    private JsonNode? Value(string type, MemoryStream wire, int number, int depth, out bool zero)
    {
        zero = false;
        switch (type[0])
        {
            case 's':
                string text = random.Next(4) == 0 ? "" : $"té{random.Next()}";
                Bytes(wire, number, Encoding.UTF8.GetBytes(text));
                zero = text.Length == 0;
                return text;
            case 'b':
                zero = random.Next(2) == 0;
                Number(wire, number, zero ? 0 : 1);
                return !zero;
            case 'i':
                long value = random.Next(4) == 0 ? 0 : random.Next(4) == 0 ? -random.NextInt64() : random.Next();
                zero = value == 0;
                Number(wire, number, value);
                return value;
            case 'y':
                byte[] data = new byte[random.Next(20)];
                random.NextBytes(data);
                zero = data.Length == 0;
                Bytes(wire, number, data);
                return Convert.ToBase64String(data);
            case '@':
                (byte[] inner, JsonObject nested) = Message(type[1..], depth + 1);
                Bytes(wire, number, inner);
                return nested;
            default:
                (byte[] message, JsonNode json) = Special(type[0]);
                Bytes(wire, number, message);
                return json;
        }
    }

    private (byte[] Wire, JsonNode Json) Special(char type)
    {
        var inner = new MemoryStream();
        switch (type)
        {
            case 't' or 'u':
                long seconds = random.Next(1, int.MaxValue);
                int micros = random.Next(1_000_000);
                Number(inner, 1, seconds);
                Number(inner, 2, micros * 1000L);
                DateTime time = DateTime.UnixEpoch.AddSeconds(seconds).AddMicroseconds(micros);
                return (inner.ToArray(), time.ToString(type == 't' ? "yyyy-MM-dd'T'HH:mm:ss'Z'" : "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture));
            case 'q':
                string quantity = $"{random.Next()}Mi";
                Bytes(inner, 1, Encoding.UTF8.GetBytes(quantity));
                return (inner.ToArray(), quantity);
            case 'o':
                bool named = random.Next(2) == 0;
                Number(inner, 1, named ? 1 : 0);
                Number(inner, 2, named ? 0 : 80);
                Bytes(inner, 3, named ? "http"u8.ToArray() : []);
                return (inner.ToArray(), named ? "http" : 80);
            case 'r':
                Bytes(inner, 1, """{"f:a":{"b":[1,null]}}"""u8.ToArray());
                return (inner.ToArray(), JsonNode.Parse("""{"f:a":{"b":[1,null]}}""")!);
            default:
                throw new InvalidOperationException($"the table has a type that the test does not know: {type}");
        }
    }

    private static Dictionary<string, string[][]> Load()
    {
        using var reader = new StreamReader(typeof(ProtobufReader).Assembly.GetManifestResourceStream("protobuf-fields")!);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))
            .ToDictionary(parts => parts[0], parts => parts[1..].Select(part => part.Split(':')).ToArray());
    }
}
