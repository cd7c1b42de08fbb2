using System.Text.Json.Nodes;

namespace Atoll.Kube.Schema.Rules;

/// <summary>Volumes: unique names, one source each, and only sources that an agent can mount.</summary>
internal static class VolumeRules
{
    /// <summary>What the edge mounts. Another source would leave the pod waiting for ever, so it is refused with the list.</summary>
    private static readonly string[] s_supported = ["configMap", "downwardAPI", "emptyDir", "hostPath", "persistentVolumeClaim", "projected", "secret"];

    /// <summary>The names of the volumes.</summary>
    public static HashSet<string> Volumes(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach ((int i, JsonObject volume) in spec.Objects("volumes"))
        {
            FieldPath at = path.Child("volumes").Index(i);
            string name = volume.Text("name") ?? "";
            if (name.Length == 0)
                errors.Required(at.Child("name"));
            else if (Names.Label(name) is { } problem)
                errors.Invalid(at.Child("name"), name, problem);
            else if (!names.Add(name))
                errors.Duplicate(at.Child("name"), name);
            int sources = 0;
            foreach (KeyValuePair<string, JsonNode?> source in volume)
            {
                if (source.Key == "name" || source.Value is null)
                    continue;
                if (++sources > 1)
                    errors.Forbidden(at.Child(source.Key), "may not specify more than 1 volume type");
                if (Array.IndexOf(s_supported, source.Key) < 0)
                    errors.Forbidden(at.Child(source.Key), $"Atoll mounts volumes of {string.Join(", ", s_supported)}");
            }
            Source(volume, at, errors);
        }
        return names;
    }

    private static void Source(JsonObject volume, FieldPath at, FieldErrors errors)
    {
        if (volume.Object("hostPath") is { } host)
        {
            if (string.IsNullOrEmpty(host.Text("path")))
                errors.Required(at.Child("hostPath", "path"));
            else if (host.Text("path")!.Split('/').Contains(".."))
                errors.Invalid(at.Child("hostPath", "path"), host.Text("path")!, "must not contain '..'");
        }
        if (volume.Object("persistentVolumeClaim") is { } claim && string.IsNullOrEmpty(claim.Text("claimName")))
            errors.Required(at.Child("persistentVolumeClaim", "claimName"));
        if (volume.Object("secret") is { } secret && string.IsNullOrEmpty(secret.Text("secretName")))
            errors.Required(at.Child("secret", "secretName"));
        if (volume.Object("configMap") is { } map && string.IsNullOrEmpty(map.Text("name")))
            errors.Required(at.Child("configMap", "name"));
        foreach (string kind in (string[])["secret", "configMap", "downwardAPI", "projected"])
        {
            if (volume.Object(kind) is not { } source)
                continue;
            FieldPath path = at.Child(kind);
            Mode(source["defaultMode"], path.Child("defaultMode"), errors);
            foreach ((int i, JsonObject item) in source.Objects("items"))
            {
                Mode(item["mode"], path.Child("items").Index(i).Child("mode"), errors);
                if (item.Text("path") is { Length: > 0 } target)
                    LocalPath(target, path.Child("items").Index(i).Child("path"), errors);
                else
                    errors.Required(path.Child("items").Index(i).Child("path"));
            }
        }
    }

    private static void Mode(JsonNode? value, FieldPath path, FieldErrors errors)
    {
        if (Json.AsLong(value) is { } mode and (< 0 or > 511))
            errors.Invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }

    /// <summary>A path that stays inside its volume.</summary>
    public static void LocalPath(string text, FieldPath path, FieldErrors errors)
    {
        if (text.StartsWith('/'))
            errors.Invalid(path, text, "must be a relative path");
        if (text.Split('/').Contains(".."))
            errors.Invalid(path, text, "must not contain '..'");
    }
}
