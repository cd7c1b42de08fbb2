using System.Net;
using System.Text.Json.Nodes;

namespace Atoll.Api.Objects;

/// <summary>
/// A Kubernetes <c>Status</c>: how an API call that did not return an object ended. Expected failures travel as values of
/// this type; <see cref="Reason"/> is from the closed list of the API conventions ("Response Status Kind").
/// </summary>
public sealed class ApiStatus
{
    /// <summary>Always <c>v1</c>.</summary>
    public string ApiVersion { get; set; } = "v1";

    /// <summary>Always <c>Status</c>.</summary>
    public string Kind { get; set; } = "Status";

    /// <summary>Empty list metadata, as clients expect.</summary>
    public JsonObject Metadata { get; set; } = [];

    /// <summary><c>Success</c> or <c>Failure</c>.</summary>
    public string Status { get; set; } = "Failure";

    /// <summary>What went wrong, which field, and the fix.</summary>
    public string? Message { get; set; }

    /// <summary>Machine-readable reason.</summary>
    public string? Reason { get; set; }

    /// <summary>What the reason refers to.</summary>
    public StatusDetails? Details { get; set; }

    /// <summary>HTTP status code.</summary>
    public int Code { get; set; }

    /// <summary>The object does not exist.</summary>
    public static ApiStatus NotFound(ResourceType type, string name) =>
        Make(HttpStatusCode.NotFound, "NotFound", $"{type.GroupResource} \"{name}\" not found", type, name);

    /// <summary>An object of that name exists.</summary>
    public static ApiStatus AlreadyExists(ResourceType type, string name) =>
        Make(HttpStatusCode.Conflict, "AlreadyExists", $"{type.GroupResource} \"{name}\" already exists", type, name);

    /// <summary>The write was made against an older version, or a precondition does not hold.</summary>
    public static ApiStatus Conflict(ResourceType type, string name, string why) =>
        Make(HttpStatusCode.Conflict, "Conflict", $"Operation cannot be fulfilled on {type.GroupResource} \"{name}\": {why}", type, name);

    /// <summary>The document is well-formed but not valid; one cause a field.</summary>
    public static ApiStatus Invalid(ResourceType type, string name, IReadOnlyList<StatusCause> causes)
    {
        ArgumentNullException.ThrowIfNull(causes);
        string list = causes.Count == 1 ? Text(causes[0]) : "[" + string.Join(", ", causes.Select(Text)) + "]";
        ApiStatus status = Make(HttpStatusCode.UnprocessableEntity, "Invalid", $"{type.Kind}{(type.Group.Length == 0 ? "" : "." + type.Group)} \"{name}\" is invalid: {list}", type, name);
        status.Details!.Kind = type.Kind;
        status.Details.Causes = [.. causes];
        return status;

        static string Text(StatusCause c) => $"{c.Field}: {c.Message}";
    }

    /// <summary>The request cannot be understood.</summary>
    public static ApiStatus BadRequest(string message) => Make(HttpStatusCode.BadRequest, "BadRequest", message);

    /// <summary>No identity was shown.</summary>
    public static ApiStatus Unauthorized() => Make(HttpStatusCode.Unauthorized, "Unauthorized", "Unauthorized");

    /// <summary>The identity may not do this; <paramref name="why"/> says what to do instead.</summary>
    public static ApiStatus Forbidden(ResourceType? type, string name, string why) =>
        type is null
            ? Make(HttpStatusCode.Forbidden, "Forbidden", why)
            : Make(HttpStatusCode.Forbidden, "Forbidden", $"{type.GroupResource} \"{name}\" is forbidden: {why}", type, name);

    /// <summary>The revision asked for was compacted: list again.</summary>
    public static ApiStatus Expired(string message) => Make(HttpStatusCode.Gone, "Expired", message);

    /// <summary>The resource does not serve this method.</summary>
    public static ApiStatus MethodNotAllowed(string message) => Make(HttpStatusCode.MethodNotAllowed, "MethodNotAllowed", message);

    /// <summary>The body is larger than the published limit.</summary>
    public static ApiStatus TooLarge(long limitBytes) =>
        Make(HttpStatusCode.RequestEntityTooLarge, "RequestEntityTooLarge", $"Request entity too large: limit is {limitBytes} bytes");

    /// <summary>The content type is not one that the server reads.</summary>
    public static ApiStatus UnsupportedMediaType(string message) => Make(HttpStatusCode.UnsupportedMediaType, "UnsupportedMediaType", message);

    /// <summary>Not now; try again after the given seconds.</summary>
    public static ApiStatus TooManyRequests(string message, int retryAfterSeconds)
    {
        ApiStatus status = Make(HttpStatusCode.TooManyRequests, "TooManyRequests", message);
        status.Details = new StatusDetails { RetryAfterSeconds = retryAfterSeconds };
        return status;
    }

    /// <summary>A part that the answer needs (a site, its link) is out of reach.</summary>
    public static ApiStatus ServiceUnavailable(string message) => Make(HttpStatusCode.ServiceUnavailable, "ServiceUnavailable", message);

    /// <summary>A fault of the server.</summary>
    public static ApiStatus InternalError(string message) => Make(HttpStatusCode.InternalServerError, "InternalError", $"Internal error occurred: {message}");

    /// <summary>The call succeeded and has no object to return.</summary>
    public static ApiStatus Success(ResourceType? type = null, string? name = null, string? uid = null)
    {
        ApiStatus status = Make(HttpStatusCode.OK, null, null, type, name);
        status.Status = "Success";
        if (status.Details is not null)
            status.Details.Uid = uid;
        return status;
    }

    private static ApiStatus Make(HttpStatusCode code, string? reason, string? message, ResourceType? type = null, string? name = null) => new()
    {
        Code = (int)code,
        Reason = reason,
        Message = message,
        Details = type is null ? null : new StatusDetails { Name = string.IsNullOrEmpty(name) ? null : name, Group = type.Group.Length == 0 ? null : type.Group, Kind = type.Plural },
    };

    /// <inheritdoc/>
    public override string ToString() => $"{Code} {Reason}: {Message}";
}

/// <summary>Details of a <see cref="ApiStatus"/>.</summary>
public sealed class StatusDetails
{
    /// <summary>Object's name.</summary>
    public string? Name { get; set; }

    /// <summary>Resource's group.</summary>
    public string? Group { get; set; }

    /// <summary>Resource (or kind, for Invalid).</summary>
    public string? Kind { get; set; }

    /// <summary>Object's identity.</summary>
    public string? Uid { get; set; }

    /// <summary>One cause a field.</summary>
    public List<StatusCause>? Causes { get; set; }

    /// <summary>When to try again, seconds.</summary>
    public int? RetryAfterSeconds { get; set; }
}

/// <summary>One cause of a failure: <c>FieldValueInvalid</c>, <c>FieldValueRequired</c>, <c>FieldValueNotSupported</c>, …</summary>
public sealed class StatusCause
{
    /// <summary>Kind of cause.</summary>
    public string? Reason { get; set; }

    /// <summary>What is wrong and what would be right.</summary>
    public string? Message { get; set; }

    /// <summary>Path of the field, such as <c>spec.containers[0].image</c>.</summary>
    public string? Field { get; set; }
}
