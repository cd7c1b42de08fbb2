using System.Text.Json.Nodes;
using Atoll.Api.Core;

namespace Atoll.Kube.Schema.Rules;

/// <summary>The annotations that ask for failover between sites: their values, and the kinds that can fail over.</summary>
internal static class FailoverRules
{
    /// <summary>Checks the annotations of a workload (or pod) and those of its template.</summary>
    public static void Validate(string kind, JsonObject document, FieldErrors errors)
    {
        Annotations(kind, document.Object("metadata"), FieldPath.Root.Child("metadata", "annotations"), errors);
        Annotations(kind, document.Object("spec").Object("template").Object("metadata"), FieldPath.Root.Child("spec", "template").Child("metadata", "annotations"), errors);
    }

    private static void Annotations(string kind, JsonObject? metadata, FieldPath path, FieldErrors errors)
    {
        JsonObject? annotations = metadata.Object("annotations");
        if (annotations.Text(FailoverPolicy.ScopeAnnotation) is { } scope)
        {
            FieldPath at = path.Key(FailoverPolicy.ScopeAnnotation);
            if (!FailoverPolicy.Scopes.Contains(scope))
                errors.NotSupported(at, scope, FailoverPolicy.Scopes);
            else if (scope != FailoverPolicy.Scopes[0] && kind is "StatefulSet" or "DaemonSet" or "Job")
                errors.Forbidden(at, kind switch
                {
                    "StatefulSet" => "an identity is not given to another site while its holder may run; to move it, delete the pod by force when its site is known to be down",
                    "DaemonSet" => "a daemon belongs to its node",
                    _ => "a pod of a Job is not run twice at once; only Deployments and ReplicaSets fail over",
                });
        }
        if (annotations.Text(FailoverPolicy.AfterAnnotation) is { } after && !FailoverPolicy.TryDuration(after, out _))
            errors.Invalid(path.Key(FailoverPolicy.AfterAnnotation), after, "must be hours, minutes and seconds between 30s and 168h, such as 10m or 1h30m");
    }
}
