using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Cloud.Hub;

/// <summary>An object by resource and key (<c>namespace/name</c>), whether or not it exists yet.</summary>
public readonly record struct ObjectKey(ResourceType Type, string Key);

/// <summary>
/// The table of forward references: what an object in a site's scope makes the site need. Everything that a pod can name
/// is here; what is not here never reaches a site, above all no Secret that none of its pods uses.
/// </summary>
public static class ScopeReferences
{
    /// <summary>Resources that can be in a scope. The table below is acyclic over them.</summary>
    public static IReadOnlyList<ResourceType> Types { get; } =
        [Kinds.Site, Kinds.Node, Kinds.Pod, Kinds.Namespace, Kinds.ConfigMap, Kinds.Secret, Kinds.ServiceAccount, Kinds.RuntimeClass, Kinds.PriorityClass, Kinds.PersistentVolumeClaim, Kinds.PersistentVolume];

    /// <summary>Adds what <paramref name="value"/> refers to; a reference may be added more than once.</summary>
    public static void Collect(ResourceType type, KubeObject value, ISet<ObjectKey> into)
    {
        if (type == Kinds.Pod)
            CollectPod(value.Namespace, value.View(ApiJson.Default.Pod).Spec, into);
        else if (type == Kinds.ServiceAccount && value.View(ApiJson.Default.ServiceAccount).ImagePullSecrets is { } secrets)
            foreach (LocalObjectReference secret in secrets)
                Add(Kinds.Secret, value.Namespace, secret.Name, into);
        else if (type == Kinds.PersistentVolumeClaim)
            AddCluster(Kinds.PersistentVolume, value.View(ApiJson.Default.PersistentVolumeClaim).Spec.VolumeName, into);
    }

    private static void CollectPod(string ns, PodSpec spec, ISet<ObjectKey> into)
    {
        into.Add(new ObjectKey(Kinds.Namespace, ns));
        Add(Kinds.ServiceAccount, ns, spec.ServiceAccountName, into);
        AddCluster(Kinds.RuntimeClass, spec.RuntimeClassName, into);
        AddCluster(Kinds.PriorityClass, spec.PriorityClassName, into);
        foreach (LocalObjectReference secret in spec.ImagePullSecrets ?? [])
            Add(Kinds.Secret, ns, secret.Name, into);
        foreach (Volume volume in spec.Volumes ?? [])
        {
            Add(Kinds.ConfigMap, ns, volume.ConfigMap?.Name, into);
            Add(Kinds.Secret, ns, volume.Secret?.SecretName, into);
            Add(Kinds.PersistentVolumeClaim, ns, volume.PersistentVolumeClaim?.ClaimName, into);
            foreach (VolumeProjection source in volume.Projected?.Sources ?? [])
            {
                Add(Kinds.ConfigMap, ns, source.ConfigMap?.Name, into);
                Add(Kinds.Secret, ns, source.Secret?.Name, into);
            }
        }
        foreach (Container container in spec.Containers)
            CollectContainer(ns, container, into);
        foreach (Container container in spec.InitContainers ?? [])
            CollectContainer(ns, container, into);
    }

    private static void CollectContainer(string ns, Container container, ISet<ObjectKey> into)
    {
        foreach (EnvFromSource source in container.EnvFrom ?? [])
        {
            Add(Kinds.ConfigMap, ns, source.ConfigMapRef?.Name, into);
            Add(Kinds.Secret, ns, source.SecretRef?.Name, into);
        }
        foreach (EnvVar variable in container.Env ?? [])
        {
            Add(Kinds.ConfigMap, ns, variable.ValueFrom?.ConfigMapKeyRef?.Name, into);
            Add(Kinds.Secret, ns, variable.ValueFrom?.SecretKeyRef?.Name, into);
        }
    }

    private static void Add(ResourceType type, string ns, string? name, ISet<ObjectKey> into)
    {
        if (!string.IsNullOrEmpty(name))
            into.Add(new ObjectKey(type, $"{ns}/{name}"));
    }

    private static void AddCluster(ResourceType type, string? name, ISet<ObjectKey> into)
    {
        if (!string.IsNullOrEmpty(name))
            into.Add(new ObjectKey(type, name));
    }
}
