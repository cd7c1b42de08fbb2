using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Kube.Schema;

/// <summary>Collects what is wrong, in the wording of Kubernetes' field errors (apimachinery util/validation/field). Bounded: nobody reads the hundredth.</summary>
internal sealed class FieldErrors
{
    private const int Limit = 100;

    public List<StatusCause> Causes { get; } = [];

    /// <summary>Set for a Secret: what it holds is not repeated in a message, which may end in a log.</summary>
    public bool HoldsSecrets { get; init; }

    public void Required(FieldPath path, string detail = "") => Add("FieldValueRequired", path, detail.Length == 0 ? "Required value" : "Required value: " + detail);

    public void Invalid(FieldPath path, JsonNode? value, string detail) => Add("FieldValueInvalid", path, $"Invalid value: {Show(path, value)}: {detail}");

    public void Invalid(FieldPath path, string value, string detail) => Add("FieldValueInvalid", path, $"Invalid value: {Quote(value)}: {detail}");

    public void Invalid(FieldPath path, long value, string detail) => Add("FieldValueInvalid", path, $"Invalid value: {value}: {detail}");

    public void TypeInvalid(FieldPath path, JsonNode? value, string detail) => Add("FieldValueTypeInvalid", path, $"Invalid value: {Show(path, value)}: {detail}");

    public void NotSupported(FieldPath path, string value, params IReadOnlyList<string> supported) =>
        Add("FieldValueNotSupported", path, $"Unsupported value: {Quote(value)}: supported values: {string.Join(", ", supported.Select(Quote))}");

    public void Duplicate(FieldPath path, string value) => Add("FieldValueDuplicate", path, $"Duplicate value: {Quote(value)}");

    public void DuplicateNumber(FieldPath path, string value) => Add("FieldValueDuplicate", path, $"Duplicate value: {value}");

    public void Forbidden(FieldPath path, string detail) => Add("FieldValueForbidden", path, "Forbidden: " + detail);

    public void NotFound(FieldPath path, string value) => Add("FieldValueNotFound", path, $"Not found: {Quote(value)}");

    public void TooLong(FieldPath path, int limitBytes) => Add("FieldValueTooLong", path, $"Too long: may not be more than {limitBytes} bytes");

    private void Add(string reason, FieldPath path, string message)
    {
        if (Causes.Count >= Limit)
            return;
        string field = path.ToString();
        // The schema's and a rule's finding about one field are one finding.
        foreach (StatusCause cause in Causes)
            if (cause.Field == field && cause.Reason == reason && (cause.Message == message || reason == "FieldValueRequired"))
                return;
        Causes.Add(new StatusCause { Reason = reason, Field = field, Message = message });
    }

    private string Show(FieldPath path, JsonNode? value) =>
        HoldsSecrets && path.ToString() is var text && (text.StartsWith("data", StringComparison.Ordinal) || text.StartsWith("stringData", StringComparison.Ordinal))
            ? "<secret contents redacted>"
            : Show(value);

    /// <summary>A value as an error message shows it: at most 256 characters, so that a message stays readable.</summary>
    private static string Show(JsonNode? value)
    {
        string text = value?.ToJsonString(s_json) ?? "null";
        return text.Length <= 256 ? text : text[..256] + "…";
    }

    private static string Quote(string value) => Show(JsonValue.Create(value));

    private static readonly JsonSerializerOptions s_json = new() { Encoder = ApiJson.WriterOptions.Encoder, TypeInfoResolver = ApiJson.Default };
}
