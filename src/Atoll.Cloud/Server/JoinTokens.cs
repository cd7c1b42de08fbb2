using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Enrolment;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Cloud.Server;

/// <summary>
/// One-time join tokens, kept as Secrets of the type <c>edge.atoll.dev/join-token</c> in kube-system: the hash of the secret, the
/// site's UID and the end of validity. A token is used up by deleting its Secret with the version that was read: of two
/// machines that show the same token, one wins.
/// </summary>
internal static class JoinTokens
{
    private const string Namespace = "kube-system", Type = "edge.atoll.dev/join-token";

    private const string InfoNamespace = "kube-public", InfoName = "atoll-info";

    /// <summary>Stores the token of a site, replacing the one before.</summary>
    public static async Task<ApiResult> PutAsync(IResources resources, KubeObject site, JoinToken token, DateTimeOffset expires, CancellationToken cancellation)
    {
        var secret = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Secret",
            ["type"] = Type,
            ["metadata"] = new JsonObject { ["name"] = NameOf(site.Name), ["namespace"] = Namespace, ["labels"] = new JsonObject { [WellKnown.SiteLabel] = site.Name } },
            ["data"] = new JsonObject
            {
                ["secretHash"] = Base64(JoinToken.HashOf(token.Secret)),
                ["siteUid"] = Base64(site.Uid),
                ["expires"] = Base64(KubeTime.Format(expires)),
            },
        };
        await DeleteAsync(resources, site.Name, cancellation);
        return await resources.CreateAsync(Kinds.Secret, Namespace, secret, cancellation);
    }

    /// <summary>Removes a site's token, if there is one.</summary>
    public static async Task DeleteAsync(IResources resources, string site, CancellationToken cancellation) =>
        await resources.DeleteAsync(Kinds.Secret, Namespace, NameOf(site), DeleteOptions.Default, cancellation);

    /// <summary>Uses a token up. Null, or why it is refused: the answer says nothing about which part was wrong to whoever has no token.</summary>
    public static async Task<string?> RedeemAsync(IResources resources, KubeObject site, string secret, DateTimeOffset now, CancellationToken cancellation)
    {
        const string refused = "the join token is wrong, used or expired; make a new one with: atoll site create ";
        ApiResult found = await resources.GetAsync(Kinds.Secret, Namespace, NameOf(site.Name), cancellation);
        if (found.Object is null || found.Object.View(ApiJson.Default.Secret) is not { Type: Type, Data: { } data })
            return refused + site.Name;
        bool right = CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Text(data, "secretHash")), Encoding.ASCII.GetBytes(JoinToken.HashOf(secret)));
        if (!right || Text(data, "siteUid") != site.Uid || !KubeTime.TryParse(Text(data, "expires"), out DateTimeOffset expires) || expires < now)
            return refused + site.Name;
        ApiResult deleted = await resources.DeleteAsync(Kinds.Secret, Namespace, NameOf(site.Name), new DeleteOptions { Uid = found.Object.Uid, ResourceVersion = found.Object.ResourceVersion }, cancellation);
        return deleted.Ok ? null : refused + site.Name;
    }

    /// <summary>Publishes where sites reach the centre.</summary>
    public static async Task AdvertiseAsync(IResources resources, IReadOnlyList<string> endpoints, string authorityPem, CancellationToken cancellation)
    {
        var map = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "ConfigMap",
            ["metadata"] = new JsonObject { ["name"] = InfoName, ["namespace"] = InfoNamespace },
            ["data"] = new JsonObject { ["server"] = endpoints[0], ["servers"] = string.Join(' ', endpoints), ["ca.crt"] = authorityPem },
        };
        ApiResult result = await resources.CreateAsync(Kinds.ConfigMap, InfoNamespace, map, cancellation);
        if (result.IsAlreadyExists)
            await resources.PatchAsync(Kinds.ConfigMap, InfoNamespace, InfoName, PatchType.Merge, new JsonObject { ["data"] = map["data"]!.DeepClone() }, cancellation);
    }

    /// <summary>Where sites reach the centre, the preferred address first; empty when it has not said.</summary>
    public static async Task<string[]> AdvertisedAsync(IResources resources, CancellationToken cancellation)
    {
        Dictionary<string, string>? data = (await resources.GetAsync(Kinds.ConfigMap, InfoNamespace, InfoName, cancellation)).Object?.View(ApiJson.Default.ConfigMap).Data;
        return (data?.GetValueOrDefault("servers") ?? data?.GetValueOrDefault("server"))?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
    }

    private static string NameOf(string site) => $"site-join-{site}";

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    private static string Text(Dictionary<string, string> data, string key) => data.TryGetValue(key, out string? value) ? Encoding.UTF8.GetString(Convert.FromBase64String(value)) : "";
}
