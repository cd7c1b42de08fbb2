using Microsoft.AspNetCore.Http;

namespace Atoll.Cloud.Server;

/// <summary>The API requests under way that show a site's certificate. A watch may last an hour; revoking the site ends it at once.</summary>
internal sealed class SiteRequests(RequestDelegate serve)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, HashSet<HttpContext>> _open = new(StringComparer.Ordinal);

    /// <summary>Serves a request. It is known here before its certificate is looked at, so that a site revoked in between is either refused or ended.</summary>
    public async Task ServeAsync(HttpContext context)
    {
        string? site = context.Connection.ClientCertificate is { } certificate ? Enrolment.SiteOf(certificate) : null;
        if (site is null)
        {
            await serve(context);
            return;
        }
        lock (_lock)
        {
            if (!_open.TryGetValue(site, out HashSet<HttpContext>? requests))
                _open[site] = requests = [];
            requests.Add(context);
        }
        try
        {
            await serve(context);
        }
        finally
        {
            lock (_lock)
                if (_open.TryGetValue(site, out HashSet<HttpContext>? requests) && requests.Remove(context) && requests.Count == 0)
                    _open.Remove(site);
        }
    }

    /// <summary>Ends what a site has open; its connections go with it.</summary>
    public void End(string site)
    {
        HttpContext[] open;
        lock (_lock)
            open = _open.TryGetValue(site, out HashSet<HttpContext>? requests) ? [.. requests] : [];
        foreach (HttpContext context in open)
            context.Abort();
    }
}
