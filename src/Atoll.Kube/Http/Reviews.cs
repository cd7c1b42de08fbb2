using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Access;
using Atoll.Kube.Resources;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

/// <summary>Who am I and what may I do: the self-subject reviews. They are answered and never stored.</summary>
internal sealed class Reviews(ApiServer server)
{
    private const string Access = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    private const string Rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    private const string Self = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

    /// <summary>Answers a review. False when the path is another.</summary>
    public async Task<bool> TryAnswerAsync(HttpContext context, string path, Identity identity)
    {
        if (path is not (Access or Rules or Self))
            return false;
        if (context.Request.Method != "POST")
        {
            await Answers.StatusAsync(context, ApiStatus.MethodNotAllowed("a review is made with POST")).ConfigureAwait(false);
            return true;
        }
        (ReadOnlyMemory<byte> body, ApiStatus? error) = await BodyReader.ReadAsync(context, server.Options.MaxBodyBytes).ConfigureAwait(false);
        JsonObject? spec = null;
        if (error is null)
            (spec, error) = ReadSpec(body, BodyReader.MediaType(context.Request));
        if (error is not null)
        {
            await Answers.StatusAsync(context, error).ConfigureAwait(false);
            return true;
        }
        JsonObject answer = path switch
        {
            Access => AccessReview(spec!, identity),
            Rules => RulesReview(spec!, identity),
            _ => SelfReview(identity),
        };
        context.Response.StatusCode = StatusCodes.Status201Created;
        await Answers.JsonAsync(context, answer.ToBytes()).ConfigureAwait(false);
        return true;
    }

    private static (JsonObject? Spec, ApiStatus? Error) ReadSpec(ReadOnlyMemory<byte> body, string mediaType)
    {
        (JsonNode? document, ApiStatus? error) = BodyReader.Parse(body, mediaType, []);
        return (document.Map("spec") ?? [], error);
    }

    private JsonObject AccessReview(JsonObject spec, Identity identity)
    {
        string? denial = Denial(spec, identity);
        var status = new JsonObject { ["allowed"] = denial is null };
        if (denial is not null)
            status["reason"] = denial;
        return Answer("authorization.k8s.io/v1", "SelfSubjectAccessReview", status, spec);
    }

    private string? Denial(JsonObject spec, Identity identity)
    {
        if (spec.Map("nonResourceAttributes") is not null || identity.IsMaster)
            return null;
        JsonObject? asked = spec.Map("resourceAttributes");
        string verb = asked.Text("verb") ?? "", plural = asked.Text("resource") ?? "", group = asked.Text("group") ?? "";
        foreach (ResourceType type in Kinds.All)
        {
            if (type.Plural != plural || type.Group != group)
                continue;
            string? Optional(string field) => asked.Text(field) is { Length: > 0 } text ? text : null;
            AccessDecision decision = server.Access.Check(new AccessRequest(identity, verb, type, Optional("namespace"), Optional("name"), Optional("subresource")));
            return decision.Denial?.Message;
        }
        return $"resource \"{plural}\" is not served";
    }

    private static JsonObject RulesReview(JsonObject spec, Identity identity)
    {
        static JsonArray Everything() => new("*");
        bool all = identity.IsMaster;
        var status = new JsonObject
        {
            ["resourceRules"] = all ? new JsonArray(new JsonObject { ["verbs"] = Everything(), ["apiGroups"] = Everything(), ["resources"] = Everything() }) : [],
            ["nonResourceRules"] = new JsonArray(new JsonObject { ["verbs"] = all ? Everything() : new JsonArray("get"), ["nonResourceURLs"] = Everything() }),
            ["incomplete"] = !all,
        };
        if (!all)
            status["evaluationError"] = "a site's rights depend on the object: ask for one with a SelfSubjectAccessReview";
        return Answer("authorization.k8s.io/v1", "SelfSubjectRulesReview", status, spec);
    }

    private static JsonObject SelfReview(Identity identity) => Answer("authentication.k8s.io/v1", "SelfSubjectReview", new JsonObject
    {
        ["userInfo"] = new JsonObject
        {
            ["username"] = identity.User,
            ["groups"] = new JsonArray([.. identity.Groups.Select(group => (JsonNode?)JsonValue.Create(group))]),
        },
    }, null);

    private static JsonObject Answer(string apiVersion, string kind, JsonObject status, JsonObject? spec)
    {
        var answer = new JsonObject { ["kind"] = kind, ["apiVersion"] = apiVersion, ["metadata"] = new JsonObject { ["creationTimestamp"] = null } };
        if (spec is not null)
            answer["spec"] = spec.DeepClone();
        answer["status"] = status;
        return answer;
    }
}
