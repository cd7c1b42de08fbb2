using System.Text;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Disks;

namespace Atoll.Edge.Instances;

/// <summary>A reference that cannot be resolved now: <see cref="Exception.Message"/> is in Kubernetes' words. It may resolve later.</summary>
internal sealed class UnresolvedException(string message) : Exception(message);

/// <summary>Config maps, secrets and claims as the site's API has them.</summary>
internal sealed class PodReferences(ResourceMirror configMaps, ResourceMirror secrets, ResourceMirror serviceAccounts, LocalVolumes volumes)
{
    /// <summary>The folder behind a claim. Throws <see cref="UnresolvedException"/> while there is none.</summary>
    public string ClaimFolder(string ns, string claim) => volumes.FolderOf(ns, claim);

    public ConfigMap? ConfigMap(string ns, string name) => configMaps.Get(ns, name)?.View(ApiJson.Default.ConfigMap);

    public Secret? Secret(string ns, string name) => secrets.Get(ns, name)?.View(ApiJson.Default.Secret);

    public ServiceAccount? ServiceAccount(string ns, string name) => serviceAccounts.Get(ns, name)?.View(ApiJson.Default.ServiceAccount);

    /// <summary>All keys of a config map as bytes, or null when it does not exist.</summary>
    public Dictionary<string, byte[]>? ConfigMapData(string ns, string name)
    {
        if (ConfigMap(ns, name) is not { } map)
            return null;
        var data = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (KeyValuePair<string, string> pair in map.Data ?? [])
            data[pair.Key] = Encoding.UTF8.GetBytes(pair.Value);
        foreach (KeyValuePair<string, string> pair in map.BinaryData ?? [])
            data[pair.Key] = Base64(pair.Value);
        return data;
    }

    /// <summary>All keys of a secret as bytes, or null when it does not exist.</summary>
    public Dictionary<string, byte[]>? SecretData(string ns, string name)
    {
        if (Secret(ns, name) is not { } secret)
            return null;
        var data = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (KeyValuePair<string, string> pair in secret.Data ?? [])
            data[pair.Key] = Base64(pair.Value);
        return data;
    }

    private static byte[] Base64(string text)
    {
        var buffer = new byte[text.Length];
        return Convert.TryFromBase64String(text, buffer, out int written) ? buffer[..written] : [];
    }

    /// <summary>True when the pod refers to the config map (or secret) of that name.</summary>
    public static bool Uses(PodSpec spec, bool secret, string name)
    {
        foreach (Container container in spec.Containers.Concat(spec.InitContainers ?? []))
        {
            foreach (EnvVar env in container.Env ?? [])
                if ((secret ? env.ValueFrom?.SecretKeyRef : env.ValueFrom?.ConfigMapKeyRef)?.Name == name)
                    return true;
            foreach (EnvFromSource from in container.EnvFrom ?? [])
                if ((secret ? from.SecretRef : from.ConfigMapRef)?.Name == name)
                    return true;
        }
        return UsesVolume(spec, secret, name) || (secret && (spec.ImagePullSecrets ?? []).Exists(s => s.Name == name));
    }

    /// <summary>True when a volume of the pod shows the config map (or secret) of that name.</summary>
    public static bool UsesVolume(PodSpec spec, bool secret, string name)
    {
        foreach (Volume volume in spec.Volumes ?? [])
        {
            if ((secret ? volume.Secret?.SecretName : volume.ConfigMap?.Name) == name)
                return true;
            foreach (VolumeProjection source in volume.Projected?.Sources ?? [])
                if ((secret ? source.Secret : source.ConfigMap)?.Name == name)
                    return true;
        }
        return false;
    }
}
