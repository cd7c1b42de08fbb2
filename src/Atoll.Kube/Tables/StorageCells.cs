using System.Text.Json;
using Atoll.Api.Objects;

namespace Atoll.Kube.Tables;

/// <summary>Cells of volumes, claims and classes, as Kubernetes' printers make them.</summary>
internal static class StorageCells
{
    /// <summary>The name; a default class says so.</summary>
    public static string Name(KubeObject value, JsonElement root) =>
        root.At("metadata", "annotations").Text("storageclass.kubernetes.io/is-default-class") == "true" ? value.Name + " (default)" : value.Name;

    /// <summary>The phase; something that is going says so.</summary>
    public static string Phase(KubeObject value, JsonElement status) => value.IsDeleting ? "Terminating" : status.Text("phase");

    /// <summary>The claim of a volume as <c>namespace/name</c>.</summary>
    public static string Claim(JsonElement spec) =>
        spec.At("claimRef") is { ValueKind: JsonValueKind.Object } claim ? $"{claim.Text("namespace")}/{claim.Text("name")}" : "";

    /// <summary>Access modes in short.</summary>
    public static string Modes(JsonElement holder)
    {
        var modes = new List<string>();
        if (holder.At("accessModes") is { ValueKind: JsonValueKind.Array } all)
            foreach (JsonElement mode in all.EnumerateArray())
                if (mode.ValueKind == JsonValueKind.String)
                    modes.Add(mode.GetString() switch { "ReadWriteOnce" => "RWO", "ReadOnlyMany" => "ROX", "ReadWriteMany" => "RWX", "ReadWriteOncePod" => "RWOP", var other => other! });
        return string.Join(',', modes);
    }
}
