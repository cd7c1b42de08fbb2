using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Kube.Access;

/// <summary>What a pod's spec refers to by name.</summary>
internal static class PodReferences
{
    /// <summary>True when the pod names the secret, config map or service account.</summary>
    public static bool Names(PodSpec spec, ResourceType type, string name) => type.Plural switch
    {
        "serviceaccounts" => (spec.ServiceAccountName ?? "default") == name,
        "secrets" => Secrets(spec).Contains(name),
        "configmaps" => ConfigMaps(spec).Contains(name),
        _ => false,
    };

    private static IEnumerable<string?> Secrets(PodSpec spec)
    {
        foreach (LocalObjectReference pull in spec.ImagePullSecrets ?? [])
            yield return pull.Name;
        foreach (Volume volume in spec.Volumes ?? [])
        {
            yield return volume.Secret?.SecretName;
            foreach (VolumeProjection source in volume.Projected?.Sources ?? [])
                yield return source.Secret?.Name;
        }
        foreach (Container container in Containers(spec))
        {
            foreach (EnvFromSource from in container.EnvFrom ?? [])
                yield return from.SecretRef?.Name;
            foreach (EnvVar variable in container.Env ?? [])
                yield return variable.ValueFrom?.SecretKeyRef?.Name;
        }
    }

    private static IEnumerable<string?> ConfigMaps(PodSpec spec)
    {
        foreach (Volume volume in spec.Volumes ?? [])
        {
            yield return volume.ConfigMap?.Name;
            foreach (VolumeProjection source in volume.Projected?.Sources ?? [])
                yield return source.ConfigMap?.Name;
        }
        foreach (Container container in Containers(spec))
        {
            foreach (EnvFromSource from in container.EnvFrom ?? [])
                yield return from.ConfigMapRef?.Name;
            foreach (EnvVar variable in container.Env ?? [])
                yield return variable.ValueFrom?.ConfigMapKeyRef?.Name;
        }
    }

    private static IEnumerable<Container> Containers(PodSpec spec) => spec.Containers.Concat(spec.InitContainers ?? []);
}
