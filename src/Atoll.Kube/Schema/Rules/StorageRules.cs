using System.Text.Json.Nodes;
using Atoll.Api.Quantities;

namespace Atoll.Kube.Schema.Rules;

/// <summary>PersistentVolume, PersistentVolumeClaim and StorageClass, in the words of Kubernetes' validation.</summary>
internal static class StorageRules
{
    /// <summary>ReadWriteOncePod is not among them: nothing here would hold a second pod back.</summary>
    private static readonly string[] s_modes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce"];

    /// <summary>What is not the source of a volume; every other field of a PersistentVolume's spec is one.</summary>
    private static readonly string[] s_plain = ["accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy", "storageClassName", "volumeAttributesClassName", "volumeMode"];

    public static void Volume(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        FieldPath path = FieldPath.Root.Child("spec");
        JsonObject? spec = document.Object("spec");
        Modes(spec, path, errors);
        Storage(spec.Object("capacity"), path.Child("capacity"), errors);
        if (spec.Text("persistentVolumeReclaimPolicy") == "Recycle")
            errors.Forbidden(path.Child("persistentVolumeReclaimPolicy"), "Recycle is deprecated and not done here: use Delete or Retain");
        Filesystem(spec, path, errors);
        int sources = 0;
        foreach (KeyValuePair<string, JsonNode?> field in spec ?? [])
        {
            if (field.Value is null || Array.IndexOf(s_plain, field.Key) >= 0)
                continue;
            if (++sources > 1)
                errors.Forbidden(path.Child(field.Key), "may not specify more than 1 volume type");
            if (field.Key is not ("local" or "hostPath"))
                errors.Forbidden(path.Child(field.Key), "Atoll mounts persistent volumes of local and hostPath");
            else if (string.IsNullOrEmpty((field.Value as JsonObject).Text("path")))
                errors.Required(path.Child(field.Key, "path"));
            else if ((field.Value as JsonObject).Text("path")!.Split('/').Contains(".."))
                errors.Invalid(path.Child(field.Key, "path"), (field.Value as JsonObject).Text("path")!, "must not contain '..'");
        }
        if (sources == 0)
            errors.Required(path, "must specify a volume type");
        JsonObject? required = spec.Object("nodeAffinity").Object("required");
        if (spec.Object("nodeAffinity") is not null)
            SchedulingRules.NodeTerms(required, path.Child("nodeAffinity", "required"), errors);
        else if (spec.Object("local") is not null)
            errors.Required(path.Child("nodeAffinity"), "Local volume requires node affinity");
        if (old is null)
            return;
        foreach (string source in (string[])["local", "hostPath"])
            if (!Json.Same(old.Object("spec")?[source], spec?[source]))
                errors.Forbidden(path.Child("persistentvolumesource"), "spec.persistentvolumesource is immutable after creation");
        Immutable(old.Object("spec"), spec, path, errors, "volumeMode");
        if (old.Object("spec").Object("nodeAffinity") is { } before && !Json.Same(before, spec?["nodeAffinity"]))
            errors.Invalid(path.Child("nodeAffinity"), spec?["nodeAffinity"], "field is immutable, except for updating from beta label to GA");
    }

    public static void Claim(JsonObject document, JsonObject? old, FieldErrors errors) =>
        ClaimSpec(document.Object("spec"), old.Object("spec"), FieldPath.Root.Child("spec"), errors);

    /// <summary>A claim's spec, also that of a template.</summary>
    public static void ClaimSpec(JsonObject? spec, JsonObject? old, FieldPath path, FieldErrors errors)
    {
        Modes(spec, path, errors);
        Storage(spec.Object("resources").Object("requests"), path.Child("resources").Key("storage"), errors);
        Filesystem(spec, path, errors);
        if (spec.Text("storageClassName") is { Length: > 0 } name && Names.Subdomain(name) is { } problem)
            errors.Invalid(path.Child("storageClassName"), name, problem);
        foreach (string source in (string[])["dataSource", "dataSourceRef"])
            if (spec?[source] is not null)
                errors.Forbidden(path.Child(source), "volumes are made empty here: copy the data in with a pod");
        if (old is null)
            return;
        JsonObject before = old.DeepClone().AsObject(), now = spec?.DeepClone().AsObject() ?? [];
        // The binder names the volume, once.
        if (string.IsNullOrEmpty(before.Text("volumeName")))
            foreach (JsonObject side in (JsonObject[])[before, now])
                side.Remove("volumeName");
        before.Remove("resources");
        now.Remove("resources");
        if (!Json.Same(before, now))
            errors.Forbidden(path, "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims");
        if (Size(old) is { } was && Size(spec) is { } wanted && wanted != was)
            errors.Forbidden(path.Child("resources", "requests").Child("storage"), wanted < was ? "field can not be less than previous value" : "local volumes cannot grow: make a new claim and copy the data");
    }

    public static void Class(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        string provisioner = document.Text("provisioner") ?? "";
        if (provisioner.Length == 0)
            errors.Required(FieldPath.Root.Child("provisioner"));
        if (document.Text("reclaimPolicy") == "Recycle")
            errors.NotSupported(FieldPath.Root.Child("reclaimPolicy"), "Recycle", "Delete", "Retain");
        if (provisioner == Atoll.Api.Core.StorageNames.LocalProvisioner && document.Text("volumeBindingMode") == "Immediate")
            errors.Invalid(FieldPath.Root.Child("volumeBindingMode"), "Immediate", $"{provisioner} makes a volume on the node of its first pod: use WaitForFirstConsumer");
        if (document.Bool("allowVolumeExpansion") == true)
            errors.Forbidden(FieldPath.Root.Child("allowVolumeExpansion"), "local volumes cannot grow");
        if (old is null)
            return;
        foreach (string field in (string[])["provisioner", "parameters"])
            if (!Json.Same(old[field], document[field]))
                errors.Forbidden(FieldPath.Root.Child(field), $"updates to {field} are forbidden.");
        Immutable(old, document, FieldPath.Root, errors, "reclaimPolicy");
        Immutable(old, document, FieldPath.Root, errors, "volumeBindingMode");
    }

    private static void Modes(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        if (spec.Array("accessModes") is not { Count: > 0 } modes)
        {
            errors.Required(path.Child("accessModes"), "at least 1 access mode is required");
            return;
        }
        for (int i = 0; i < modes.Count; i++)
            if (Json.AsText(modes[i]) is { } mode && Array.IndexOf(s_modes, mode) < 0)
                errors.NotSupported(path.Child("accessModes").Index(i), mode, s_modes);
    }

    private static void Storage(JsonObject? amounts, FieldPath path, FieldErrors errors)
    {
        if (amounts?["storage"] is not { } amount)
            errors.Required(path);
        else if (Quantity.TryParse(amount.ToString(), out Quantity quantity) && quantity <= Quantity.Zero)
            errors.Invalid(path.Key("storage"), amount.ToString(), "must be greater than zero");
    }

    private static void Filesystem(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        if (spec.Text("volumeMode") == "Block")
            errors.Forbidden(path.Child("volumeMode"), "Atoll mounts file systems: use Filesystem");
    }

    private static void Immutable(JsonObject? old, JsonObject? now, FieldPath path, FieldErrors errors, string field)
    {
        if (!Json.Same(old?[field], now?[field]))
            errors.Invalid(path.Child(field), now?[field], "field is immutable");
    }

    private static Quantity? Size(JsonObject? spec) =>
        spec.Object("resources").Object("requests")?["storage"] is { } amount && Quantity.TryParse(amount.ToString(), out Quantity size) ? size : null;
}
