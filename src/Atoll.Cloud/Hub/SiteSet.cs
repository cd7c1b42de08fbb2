namespace Atoll.Cloud.Hub;

/// <summary>Names of sites. Most objects are needed by one site or none: only the others cost a set.</summary>
internal sealed class SiteSet
{
    private string? _one;
    private HashSet<string>? _many;

    public int Count => _many?.Count ?? (_one is null ? 0 : 1);

    public void Add(string site)
    {
        if (_many is not null)
            _many.Add(site);
        else if (_one is null)
            _one = site;
        else if (_one != site)
            (_many, _one) = (new HashSet<string>(StringComparer.Ordinal) { _one, site }, null);
    }

    public void Remove(string site)
    {
        if (_many is not null)
            _many.Remove(site);
        else if (_one == site)
            _one = null;
    }

    /// <summary>The names now: the set may change while they are gone through.</summary>
    public string[] ToArray() => _many is not null ? [.. _many] : _one is not null ? [_one] : [];
}
