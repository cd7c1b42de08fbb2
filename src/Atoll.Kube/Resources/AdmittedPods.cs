using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Atoll.Kube.Resources;

/// <summary>
/// Remembers what became of the bodies of the last new pods. Pods come in floods of one template, alike to the last byte but for
/// their name, and what admission makes of them (defaults, classes, validation) depends on nothing else, as long as no class
/// changed: so the next one is written from the last, with its own name, uid and time, and without a tree. A template is used only
/// after a second pod came out the long way as it foretold. Safe to share between threads.
/// </summary>
internal sealed class AdmittedPods
{
    /// <summary>Templates kept, and the largest body of one.</summary>
    public const int Most = 32, MaxBodyBytes = 16 * 1024;

    private static readonly SearchValues<byte> s_nameBytes = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-."u8);

    private readonly Lock _gate = new();
    private Template[] _known = [];

    /// <summary>The stored document of a pod whose body is like one that was admitted before, and its name; null when none was.</summary>
    /// <param name="classes">Newest revision of the classes that admission looks at.</param>
    public byte[]? TryMake(string ns, long classes, ReadOnlySpan<byte> body, string uid, string now, out string name)
    {
        name = "";
        if (Find(ns, body, out ReadOnlySpan<byte> given) is not { IsSure: true } template || template.Classes != classes)
            return null;
        name = Encoding.UTF8.GetString(given);
        return template.Write(given, uid, now);
    }

    /// <summary>A body was admitted the long way as a document with this name, uid and time. It had no field twice and no warning was given.</summary>
    public void Learn(string ns, long classes, ReadOnlySpan<byte> body, ReadOnlySpan<byte> document, string uid, string now)
    {
        if (body.Length > MaxBodyBytes)
            return;
        Template? known = Find(ns, body, out ReadOnlySpan<byte> given);
        if (known?.Classes == classes)
        {
            if (!known.IsSure && known.Write(given, uid, now).AsSpan().SequenceEqual(document))
                known.IsSure = true;
            return;
        }
        if (Template.Of(ns, classes, body, document) is not { } template)
            return;
        lock (_gate)
        {
            var next = new List<Template>(Most) { template };
            foreach (Template other in _known)
                if (other != known && next.Count < Most)
                    next.Add(other);
            Volatile.Write(ref _known, [.. next]);
        }
    }

    private Template? Find(string ns, ReadOnlySpan<byte> body, out ReadOnlySpan<byte> name)
    {
        foreach (Template template in Volatile.Read(ref _known))
        {
            int length = body.Length - template.Head.Length - template.Tail.Length;
            if (length <= 0 || template.Namespace != ns || !body.StartsWith(template.Head) || !body.EndsWith(template.Tail))
                continue;
            name = body.Slice(template.Head.Length, length);
            // Between the same quotes, and no character that could end them: a name, as far as JSON is concerned.
            if (!name.ContainsAnyExcept(s_nameBytes))
                return template;
        }
        name = default;
        return null;
    }

    private sealed class Template
    {
        private byte[][] _pieces = [];
        private int[] _between = [];

        public required string Namespace { get; init; }

        public required long Classes { get; init; }

        /// <summary>The body up to the name, and after it.</summary>
        public required byte[] Head { get; init; }

        public required byte[] Tail { get; init; }

        public bool IsSure { get; set; }

        public static Template? Of(string ns, long classes, ReadOnlySpan<byte> body, ReadOnlySpan<byte> document)
        {
            (int Start, int End)[] sent = Metadata(body), stored = Metadata(document);
            if (sent[0].End == 0 || stored[0].End == 0 || stored[1].End == 0 || stored[2].End == 0)
                return null;
            int[] order = [0, 1, 2];
            Array.Sort(order, (a, b) => stored[a].Start.CompareTo(stored[b].Start));
            var pieces = new byte[4][];
            int at = 0;
            for (int i = 0; i < 3; i++)
            {
                pieces[i] = document[at..stored[order[i]].Start].ToArray();
                at = stored[order[i]].End;
            }
            pieces[3] = document[at..].ToArray();
            return new Template { Namespace = ns, Classes = classes, Head = body[..sent[0].Start].ToArray(), Tail = body[sent[0].End..].ToArray(), _pieces = pieces, _between = order };
        }

        public byte[] Write(ReadOnlySpan<byte> name, string uid, string now)
        {
            int length = name.Length + uid.Length + now.Length;
            foreach (byte[] piece in _pieces)
                length += piece.Length;
            byte[] result = new byte[length];
            Span<byte> at = result;
            for (int i = 0; i < _pieces.Length; i++)
            {
                _pieces[i].CopyTo(at);
                at = at[_pieces[i].Length..];
                if (i == _between.Length)
                    break;
                if (_between[i] == 0)
                    name.CopyTo(at);
                else
                    Encoding.ASCII.GetBytes(_between[i] == 1 ? uid : now, at);
                at = at[(_between[i] == 0 ? name.Length : _between[i] == 1 ? uid.Length : now.Length)..];
            }
            return result;
        }

        // Where the texts of metadata's name, uid and creationTimestamp are; nowhere when one is missing or has escapes.
        private static (int Start, int End)[] Metadata(ReadOnlySpan<byte> document)
        {
            var found = new (int, int)[3];
            var reader = new Utf8JsonReader(document);
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool metadata = reader.ValueTextEquals("metadata"u8);
                reader.Read();
                if (!metadata || reader.TokenType != JsonTokenType.StartObject)
                {
                    reader.Skip();
                    continue;
                }
                while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                {
                    int field = reader.ValueTextEquals("name"u8) ? 0 : reader.ValueTextEquals("uid"u8) ? 1 : reader.ValueTextEquals("creationTimestamp"u8) ? 2 : -1;
                    reader.Read();
                    if (field >= 0 && reader.TokenType == JsonTokenType.String && !reader.ValueIsEscaped)
                        found[field] = ((int)reader.TokenStartIndex + 1, (int)reader.BytesConsumed - 1);
                    reader.Skip();
                }
            }
            return found;
        }
    }
}
