using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Kube.Access;

/// <summary>Says what an identity may do.</summary>
public interface IAccessPolicy
{
    /// <summary>Decides about one request, before it is carried out.</summary>
    AccessDecision Check(in AccessRequest request);
}

/// <summary>What somebody asks to do.</summary>
/// <param name="Identity">Who.</param>
/// <param name="Verb">get, list, watch, create, update, patch, delete or deletecollection.</param>
/// <param name="Type">On what.</param>
/// <param name="Namespace">In which namespace; null is all, or a cluster-wide resource.</param>
/// <param name="Name">Which object; null for lists and for creating with a generated name.</param>
/// <param name="Subresource">Subresource, or null.</param>
/// <param name="Document">The document sent, for create and update.</param>
public readonly record struct AccessRequest(Identity Identity, string Verb, ResourceType Type, string? Namespace, string? Name, string? Subresource, JsonObject? Document = null);

/// <summary>A decision: allowed, allowed for some objects of a list or watch only, or denied.</summary>
/// <param name="Denial">Why not, or null.</param>
/// <param name="Filter">Objects that may be seen in a list or watch; null is all.</param>
public readonly record struct AccessDecision(ApiStatus? Denial, Func<KubeObject, bool>? Filter = null)
{
    /// <summary>Allowed.</summary>
    public static AccessDecision Allow => default;
}

/// <summary>
/// A write that passed access control and is about to be stored; the site's API uses it to refuse edits of specs that
/// the centre owns. <paramref name="Old"/> is null on create, <paramref name="New"/> is null on delete.
/// </summary>
public sealed record WriteAttempt(Identity Identity, string Verb, ResourceType Type, string? Subresource, KubeObject? Old, JsonObject? New);
