using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Watch;

/// <summary>Which objects of a resource a list or watch is about.</summary>
internal sealed class Selection
{
    /// <summary>Everything.</summary>
    public static Selection All { get; } = new();

    private LabelSelector? _labels;
    private FieldRequirement[] _fields = [];
    private string[][] _paths = [];
    private Func<KubeObject, bool>? _filter;
    private string _prefix = "";

    /// <summary>True when nothing but the namespace narrows the selection.</summary>
    public bool IsWhole => _labels is null && _fields.Length == 0 && _filter is null;

    /// <summary>Start of the keys selected: <c>namespace/</c>, or empty.</summary>
    public string Prefix => _prefix;

    /// <summary>The one key that can match, or null.</summary>
    public string? OnlyKey { get; private set; }

    /// <summary>The one node whose pods can match, or null.</summary>
    public string? NodeName { get; private set; }

    /// <summary>Makes a selection, or says why the request is bad.</summary>
    public static ApiStatus? TryMake(ResourceType type, string? ns, string? labelSelector, string? fieldSelector, Func<KubeObject, bool>? filter, out Selection selection)
    {
        selection = All;
        if (!LabelSelectorParser.TryParse(labelSelector, out LabelSelector labels, out string? error))
            return ApiStatus.BadRequest(error!);
        if (!FieldSelector.TryParse(fieldSelector, out FieldSelector fields, out error))
            return ApiStatus.BadRequest(error!);
        var result = new Selection
        {
            _labels = labels.IsEmpty ? null : labels,
            _filter = filter,
            _prefix = string.IsNullOrEmpty(ns) ? "" : ns + "/",
            _fields = [.. fields.Requirements],
            _paths = new string[fields.Requirements.Count][],
        };
        for (int i = 0; i < result._fields.Length; i++)
        {
            if (SelectableFields.Path(type, result._fields[i].Field) is not { } path)
                return ApiStatus.BadRequest($"Unable to find \"{type.ApiVersion}, Resource={type.Plural}\" that match label selector \"{labelSelector}\", field selector \"{fieldSelector}\": field label not supported: {result._fields[i].Field}");
            result._paths[i] = path;
        }
        if (fields.RequiredValue("metadata.name") is { } name && (!type.Namespaced || result._prefix.Length > 0))
            result.OnlyKey = result._prefix + name;
        if (type.Equals(Kinds.Pod))
            result.NodeName = fields.RequiredValue("spec.nodeName") is { Length: > 0 } node ? node : null;
        selection = result;
        return null;
    }

    /// <summary>True when an object belongs to the selection.</summary>
    public bool Matches(CachedObject candidate)
    {
        if (_prefix.Length > 0 && !candidate.Key.StartsWith(_prefix, StringComparison.Ordinal))
            return false;
        for (int i = 0; i < _fields.Length; i++)
        {
            bool equal = (ObjectBytes.Find(candidate.Utf8.Span, _paths[i]) ?? SelectableFields.Missing(_fields[i].Field)) == _fields[i].Value;
            if (equal == _fields[i].Negated)
                return false;
        }
        return (_labels is null || _labels.Matches(candidate.Object.Metadata.Labels)) && (_filter is null || _filter(candidate.Object));
    }
}
