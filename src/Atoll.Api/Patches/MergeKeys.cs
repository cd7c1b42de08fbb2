namespace Atoll.Api.Patches;

/// <summary>
/// Which lists merge, and by which key: the patchMergeKey and patchStrategy tags of the kinds that Atoll serves. Lists
/// that are not named here are replaced whole.
/// </summary>
internal static class MergeKeys
{
    /// <summary>The merge key of a list; empty for a set of plain values; null for a list that is replaced. <paramref name="parent"/> is the field that holds the object (or the list of objects) in which the list stands.</summary>
    public static string? Of(string field, string parent) => field switch
    {
        "containers" or "initContainers" or "ephemeralContainers" or "env" or "volumes" or "imagePullSecrets" or "secrets"
            or "schedulingGates" or "resourceClaims" when parent != "resources" => "name",
        "ports" => parent is "containers" or "initContainers" or "ephemeralContainers" ? "containerPort" : parent == "spec" ? "port" : null,
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "conditions" or "addresses" => "type",
        "hostAliases" or "podIPs" or "hostIPs" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        "ownerReferences" => "uid",
        "finalizers" when parent == "metadata" => "",
        _ => null,
    };
}
