using System.Globalization;
using System.Text;

namespace Atoll.Kube.Schema;

/// <summary>Where a field is, written as Kubernetes does (<c>spec.containers[0].image</c>, <c>data[key]</c>) only when asked for.</summary>
internal sealed class FieldPath
{
    private readonly FieldPath? _parent;
    private readonly string? _text;
    private readonly int _index;

    private FieldPath(FieldPath? parent, string? text, int index)
    {
        _parent = parent;
        _text = text;
        _index = index;
    }

    /// <summary>The document itself.</summary>
    public static FieldPath Root { get; } = new(null, null, -1);

    public FieldPath Child(string name) => new(this, name, -1);

    public FieldPath Child(string name, string second) => Child(name).Child(second);

    public FieldPath Index(int index) => new(this, null, index);

    public FieldPath Key(string key) => new(this, key, -2);

    public override string ToString()
    {
        var text = new StringBuilder();
        Write(text);
        return text.ToString();
    }

    private void Write(StringBuilder text)
    {
        if (_parent is null)
            return;
        _parent.Write(text);
        if (_index >= 0)
            text.Append('[').Append(_index.ToString(CultureInfo.InvariantCulture)).Append(']');
        else if (_index == -2)
            text.Append('[').Append(_text).Append(']');
        else
            text.Append(text.Length > 0 ? "." : "").Append(_text);
    }
}
