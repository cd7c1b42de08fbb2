using System.Globalization;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Atoll.Kube.Http;

/// <summary>Reads the options that clients put into the query.</summary>
internal static class RequestQuery
{
    /// <summary>A flag, read as Kubernetes does: set by whatever is given, even by nothing (<c>?watch</c>), but for false and 0.</summary>
    public static bool Flag(IQueryCollection query, string name) =>
        query.TryGetValue(name, out StringValues given) && given.Count > 0 && !string.Equals(given[0], "false", StringComparison.OrdinalIgnoreCase) && given[0] != "0";

    /// <summary>A text, or null when it is missing or empty.</summary>
    public static string? Text(IQueryCollection query, string name) => query[name].ToString() is { Length: > 0 } text ? text : null;

    /// <summary>A whole number that is not negative; null when it is missing.</summary>
    public static ApiStatus? Number(IQueryCollection query, string name, out int? value)
    {
        value = null;
        if (Text(query, name) is not { } text)
            return null;
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number))
            return ApiStatus.BadRequest($"{name} must be a whole number that is not negative, not \"{text}\"");
        value = (int)Math.Min(number, int.MaxValue);
        return null;
    }

    /// <summary>Seconds of grace: a whole number; negative ones are for the verb to judge. Null when it is missing.</summary>
    public static ApiStatus? Grace(IQueryCollection query, out long? seconds)
    {
        seconds = null;
        if (Text(query, "gracePeriodSeconds") is not { } text)
            return null;
        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
            return ApiStatus.BadRequest($"gracePeriodSeconds must be a whole number, not \"{text}\"");
        seconds = number;
        return null;
    }

    /// <summary>Options of a list.</summary>
    public static ApiStatus? List(IQueryCollection query, out ListOptions options)
    {
        ApiStatus? error = Number(query, "limit", out int? limit);
        options = new ListOptions
        {
            LabelSelector = Text(query, "labelSelector"),
            FieldSelector = Text(query, "fieldSelector"),
            Limit = limit ?? 0,
            Continue = Text(query, "continue"),
            ResourceVersion = Text(query, "resourceVersion"),
            ResourceVersionMatch = Text(query, "resourceVersionMatch"),
        };
        return error;
    }

    /// <summary>Options of a watch.</summary>
    public static ApiStatus? Watch(IQueryCollection query, out WatchOptions options)
    {
        options = new WatchOptions
        {
            LabelSelector = Text(query, "labelSelector"),
            FieldSelector = Text(query, "fieldSelector"),
            ResourceVersion = Text(query, "resourceVersion"),
            AllowBookmarks = Flag(query, "allowWatchBookmarks"),
            SendInitialEvents = Flag(query, "sendInitialEvents"),
        };
        string? match = Text(query, "resourceVersionMatch");
        if (options.SendInitialEvents && match != "NotOlderThan")
            return ApiStatus.BadRequest("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        return !query.ContainsKey("sendInitialEvents") && match is not null
            ? ApiStatus.BadRequest("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
            : null;
    }

    /// <summary>True for dryRun=All; any other value is an error.</summary>
    public static ApiStatus? DryRun(IQueryCollection query, out bool dryRun)
    {
        dryRun = false;
        foreach (string? value in query["dryRun"])
        {
            if (value == "All")
                dryRun = true;
            else if (!string.IsNullOrEmpty(value))
                return ApiStatus.BadRequest($"dryRun \"{value}\" is not supported: All is");
        }
        return null;
    }
}
