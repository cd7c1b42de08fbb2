using System.IO.Compression;
using System.Text;

namespace Atoll.Kube.Schema;

/// <summary>What a field holds.</summary>
internal enum ShapeKind
{
    Text, Int32, Int64, Bool, Float, Time, MicroTime, Bytes, Any, Quantity, IntOrString, Object,
}

/// <summary>How many of it: one, a list or a map by string.</summary>
internal enum ShapeForm
{
    One, List, Map,
}

/// <summary>A field of a type, as the API's schema has it.</summary>
internal sealed record FieldShape(string Name, ShapeForm Form, ShapeKind Kind, string? TypeName, string[] Flags)
{
    /// <summary>The field's type when it is an object, resolved after loading.</summary>
    public TypeShape? Type { get; set; }

    /// <summary>Line of the description.</summary>
    public int Line { get; init; }

    public bool Required { get; } = Array.IndexOf(Flags, "!") >= 0;

    /// <summary>Allowed values of a string, or null.</summary>
    public string[]? Enum { get; } = Flag(Flags, "e=")?.Split('|');

    public string? Flag(string prefix) => Flag(Flags, prefix);

    public bool Has(string flag) => Array.IndexOf(Flags, flag) >= 0;

    private static string? Flag(string[] flags, string prefix)
    {
        foreach (string flag in flags)
            if (flag.StartsWith(prefix, StringComparison.Ordinal))
                return flag[prefix.Length..];
        return null;
    }
}

/// <summary>A type of the API: its fields, sorted by name.</summary>
internal sealed class TypeShape(string name, string? gvk, FieldShape[] fields, int line)
{
    public string Name { get; } = name;

    /// <summary>group/version/kind of a root type, else null.</summary>
    public string? Gvk { get; } = gvk;

    public FieldShape[] Fields { get; } = fields;

    /// <summary>Line of the description.</summary>
    public int Line { get; } = line;

    public FieldShape? Find(string name)
    {
        int low = 0, high = Fields.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            int order = string.CompareOrdinal(Fields[middle].Name, name);
            if (order == 0)
                return Fields[middle];
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }
        return null;
    }
}

/// <summary>
/// The shapes of every served type, parsed from the embedded text on first use and kept (about 250 types, 1,100 fields:
/// about 320 KiB); the descriptions are ten times that and are only held while a document is being written.
/// </summary>
internal sealed class Shapes
{
    private static readonly Lazy<Shapes> s_loaded = new(Load);
    private static readonly WeakReference<string[]?> s_descriptions = new(null);

    private readonly Dictionary<string, TypeShape> _byName, _byGvk;

    private Shapes(Dictionary<string, TypeShape> byName)
    {
        _byName = byName;
        _byGvk = new Dictionary<string, TypeShape>(StringComparer.Ordinal);
        foreach (TypeShape type in byName.Values)
            if (type.Gvk is not null)
                _byGvk[type.Gvk] = type;
    }

    public static Shapes Instance => s_loaded.Value;

    public IEnumerable<TypeShape> All => _byName.Values;

    public TypeShape? Find(string group, string version, string kind) => _byGvk.GetValueOrDefault($"{group}/{version}/{kind}");

    public TypeShape Get(string name) => _byName[name];

    /// <summary>The description of each line, escaped newlines resolved.</summary>
    public static string[] Descriptions()
    {
        if (s_descriptions.TryGetTarget(out string[]? kept) && kept is not null)
            return kept;
        string[] lines = Read("descriptions.txt.br").Split('\n');
        for (int i = 0; i < lines.Length; i++)
            if (lines[i].Contains('\\', StringComparison.Ordinal))
                lines[i] = lines[i].Replace("\\\\", "\u0001", StringComparison.Ordinal).Replace("\\n", "\n", StringComparison.Ordinal).Replace('\u0001', '\\');
        s_descriptions.SetTarget(lines);
        return lines;
    }

    private static Shapes Load()
    {
        var byName = new Dictionary<string, TypeShape>(StringComparer.Ordinal);
        var pool = new Dictionary<string, string>(StringComparer.Ordinal);
        string[] lines = Read("shapes.txt.br").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < lines.Length;)
        {
            int head = i++;
            string[] parts = lines[head].Split(' ');
            int end = i;
            while (end < lines.Length && !lines[end].StartsWith("T ", StringComparison.Ordinal))
                end++;
            var fields = new FieldShape[end - i];
            for (; i < end; i++)
                fields[i - head - 1] = ParseField(lines[i], i, pool);
            byName[parts[1]] = new TypeShape(parts[1], parts.Length > 2 ? parts[2] : null, fields, head);
        }
        foreach (TypeShape type in byName.Values)
            foreach (FieldShape field in type.Fields)
                if (field.TypeName is not null)
                    field.Type = byName[field.TypeName];
        return new Shapes(byName);
    }

    private static FieldShape ParseField(string line, int number, Dictionary<string, string> pool)
    {
        string[] parts = line.Split(' ');
        string code = parts[1];
        ShapeForm form = code[0] == '[' ? ShapeForm.List : code[0] == '{' ? ShapeForm.Map : ShapeForm.One;
        if (form != ShapeForm.One)
            code = code[1..];
        ShapeKind kind = code[0] switch
        {
            's' => ShapeKind.Text,
            'i' => ShapeKind.Int32,
            'l' => ShapeKind.Int64,
            'b' => ShapeKind.Bool,
            'd' => ShapeKind.Float,
            'D' => ShapeKind.Time,
            'M' => ShapeKind.MicroTime,
            'B' => ShapeKind.Bytes,
            'o' => ShapeKind.Any,
            'q' => ShapeKind.Quantity,
            'I' => ShapeKind.IntOrString,
            '@' => ShapeKind.Object,
            _ => throw new InvalidDataException($"Line {number} of the shapes has the unknown code {code}."),
        };
        return new FieldShape(Pool(parts[0]), form, kind, kind == ShapeKind.Object ? Pool(code[1..]) : null, parts.Length > 2 ? parts[2..] : []) { Line = number };

        string Pool(string text)
        {
            if (pool.TryGetValue(text, out string? known))
                return known;
            pool[text] = text;
            return text;
        }
    }

    private static string Read(string resource)
    {
        using Stream stream = typeof(Shapes).Assembly.GetManifestResourceStream(resource)!;
        using var brotli = new BrotliStream(stream, CompressionMode.Decompress);
        using var reader = new StreamReader(brotli, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
