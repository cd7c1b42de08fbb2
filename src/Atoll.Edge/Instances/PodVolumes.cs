using System.Text;
using Atoll.Api.Core;
using Atoll.Api.Quantities;

namespace Atoll.Edge.Instances;

/// <summary>
/// A pod's volumes on disk below <c>pods/UID/volumes</c>. Making them again is harmless and brings projected content up to
/// date, so first set-up, live update and agent restart are the same call.
/// </summary>
internal sealed class PodVolumes(string podFolder, PodReferences references, TimeProvider time)
{
    private const int DefaultMode = 0b110_100_100;

    private string Root => Path.Combine(podFolder, "volumes");

    /// <summary>Where a volume of a pod lies on the host.</summary>
    public string PathOf(Volume volume, string ns) =>
        volume.HostPath is { } host ? host.Path : volume.PersistentVolumeClaim is { } claim ? references.ClaimFolder(ns, claim.ClaimName) : OwnPath(volume);

    private string OwnPath(Volume volume) => Path.Combine(Root, volume.Name);

    /// <summary>
    /// Makes all volumes, or brings projected ones up to date. Throws <see cref="UnresolvedException"/> with the first volume named that
    /// could not be; the others are done all the same.
    /// </summary>
    public void Prepare(Pod pod, NodeFacts node, IReadOnlyList<string> addresses)
    {
        UnresolvedException? first = null;
        foreach (Volume volume in pod.Spec.Volumes ?? [])
        {
            try
            {
                Prepare(pod, volume, node, addresses);
            }
            catch (Exception e) when (e is UnresolvedException or IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
            {
                first ??= new UnresolvedException($"MountVolume.SetUp failed for volume \"{volume.Name}\" : {e.Message}");
            }
        }
        if (first is not null)
            throw first;
    }

    private void Prepare(Pod pod, Volume volume, NodeFacts node, IReadOnlyList<string> addresses)
    {
        long? group = pod.Spec.SecurityContext?.FsGroup;
        string ns = pod.Metadata.Namespace ?? "";
        var files = new Dictionary<string, ProjectedFile>(StringComparer.Ordinal);
        if (volume.EmptyDir is { } empty)
            EmptyDir(OwnPath(volume), empty, group);
        else if (volume.HostPath is { } host)
            HostPath(host);
        else if (volume.PersistentVolumeClaim is { } claim)
        {
            string folder = references.ClaimFolder(ns, claim.ClaimName);
            if (group is { } gid)
                PodSystem.ChangeGroup(folder, gid);
        }
        else if (volume.ConfigMap is { } map)
        {
            Add(files, references.ConfigMapData(ns, map.Name ?? ""), map.Name, map.Items, map.DefaultMode, map.Optional, secret: false);
            AtomicFolder.Write(OwnPath(volume), files, group, time);
        }
        else if (volume.Secret is { } secret)
        {
            Add(files, references.SecretData(ns, secret.SecretName ?? ""), secret.SecretName, secret.Items, secret.DefaultMode, secret.Optional, secret: true);
            string path = OwnPath(volume);
            Directory.CreateDirectory(path);
            AtomicFolder.Write(path, files, group, time);
        }
        else if (volume.DownwardAPI is { } downward)
        {
            AddDownward(files, pod, downward.Items, downward.DefaultMode, node, addresses);
            AtomicFolder.Write(OwnPath(volume), files, group, time);
        }
        else if (volume.Projected is { } projected)
        {
            foreach (VolumeProjection source in projected.Sources ?? [])
                AddProjection(files, pod, source, projected.DefaultMode, node, addresses);
            AtomicFolder.Write(OwnPath(volume), files, group, time);
        }
        else
            throw new UnresolvedException("this type of volume is not supported by this node; use emptyDir, configMap, secret, downwardAPI, projected, hostPath or persistentVolumeClaim");
    }

    private void AddProjection(Dictionary<string, ProjectedFile> files, Pod pod, VolumeProjection source, int? mode, NodeFacts node, IReadOnlyList<string> addresses)
    {
        string ns = pod.Metadata.Namespace ?? "";
        if (source.ConfigMap is { } map)
            Add(files, references.ConfigMapData(ns, map.Name ?? ""), map.Name, map.Items, mode, map.Optional, secret: false);
        else if (source.Secret is { } secret)
            Add(files, references.SecretData(ns, secret.Name ?? ""), secret.Name, secret.Items, mode, secret.Optional, secret: true);
        else if (source.DownwardAPI is { } downward)
            AddDownward(files, pod, downward.Items, mode, node, addresses);
        else if (source.ServiceAccountToken is not null)
            throw new UnresolvedException("service account tokens are not issued at this site yet; set automountServiceAccountToken: false or remove the serviceAccountToken source");
        else
            throw new UnresolvedException("this projected source is not supported by this node");
    }

    private static void Add(Dictionary<string, ProjectedFile> files, Dictionary<string, byte[]>? data, string? name, List<KeyToPath>? items, int? mode, bool? optional, bool secret)
    {
        string kind = secret ? "secret" : "configmap";
        if (data is null)
        {
            if (optional == true)
                return;
            throw new UnresolvedException($"{kind} \"{name}\" not found");
        }
        if (items is null)
        {
            foreach (KeyValuePair<string, byte[]> pair in data)
                files[pair.Key] = new ProjectedFile(pair.Value, mode ?? DefaultMode);
            return;
        }
        foreach (KeyToPath item in items)
        {
            if (data.TryGetValue(item.Key, out byte[]? content))
                files[SafePath(item.Path)] = new ProjectedFile(content, item.Mode ?? mode ?? DefaultMode);
            else if (optional != true)
                throw new UnresolvedException(secret ? $"references non-existent secret key: {item.Key}" : $"configmap references non-existent config key: {item.Key}");
        }
    }

    private static void AddDownward(Dictionary<string, ProjectedFile> files, Pod pod, List<DownwardApiVolumeFile>? items, int? mode, NodeFacts node, IReadOnlyList<string> addresses)
    {
        foreach (DownwardApiVolumeFile item in items ?? [])
        {
            string text = item.FieldRef is { } field
                ? FieldRefs.Field(pod, field.FieldPath, node, addresses)
                : item.ResourceFieldRef is { } resource ? FieldRefs.Resource(pod.Spec, pod.Spec.Containers[0], resource, node) : "";
            files[SafePath(item.Path)] = new ProjectedFile(Encoding.UTF8.GetBytes(text), item.Mode ?? mode ?? DefaultMode);
        }
    }

    /// <summary>A relative path without "..", as validation demands; checked again, because it decides where root writes.</summary>
    internal static string SafePath(string path)
    {
        if (path.Length == 0 || Path.IsPathRooted(path) || path.Split('/').Contains("..") || path.StartsWith("..", StringComparison.Ordinal))
            throw new UnresolvedException($"invalid path: {path}: must be relative and not contain '..'");
        return path;
    }

    private static void EmptyDir(string path, EmptyDirVolumeSource source, long? group)
    {
        bool fresh = !Directory.Exists(path);
        Directory.CreateDirectory(path);
        if (source.Medium == "Memory")
            PodSystem.MountTmpfs(path, Quantity.Parse(source.SizeLimit).Value);
        else if (!string.IsNullOrEmpty(source.Medium))
            throw new UnresolvedException($"unknown storage medium \"{source.Medium}\"; use \"\" or \"Memory\"");
        if (group is { } gid)
            PodSystem.ChangeGroup(path, gid);
        if (fresh || source.Medium == "Memory")
            File.SetUnixFileMode(path, (UnixFileMode)(group is null ? 0b000_111_111_111 : 0b010_111_111_111));
    }

    private static void HostPath(HostPathVolumeSource source)
    {
        string path = source.Path;
        bool folder = Directory.Exists(path), any = folder || Path.Exists(path);
        bool file = any && !folder && (File.GetAttributes(path) & FileAttributes.Device) == 0;
        switch (source.Type ?? "")
        {
            case "":
                if (!any)
                    Directory.CreateDirectory(path);
                break;
            case "DirectoryOrCreate":
                if (any && !folder)
                    throw new UnresolvedException($"hostPath type check failed: {path} is not a directory");
                Directory.CreateDirectory(path, (UnixFileMode)0b111_101_101);
                break;
            case "Directory":
                if (!folder)
                    throw new UnresolvedException($"hostPath type check failed: {path} is not a directory");
                break;
            case "FileOrCreate":
                if (folder)
                    throw new UnresolvedException($"hostPath type check failed: {path} is not a file");
                if (!any)
                    using (File.Create(path))
                        File.SetUnixFileMode(path, (UnixFileMode)DefaultMode);
                break;
            case "File":
                if (!file)
                    throw new UnresolvedException($"hostPath type check failed: {path} is not a file");
                break;
            case "Socket" or "CharDevice" or "BlockDevice":
                if (!any || folder)
                    throw new UnresolvedException($"hostPath type check failed: {path} is not a {source.Type switch { "Socket" => "socket file", "CharDevice" => "character device", _ => "block device" }}");
                break;
            default:
                throw new UnresolvedException($"hostPath type {source.Type} is unknown");
        }
    }

    /// <summary>Unmounts memory volumes; folders stay until the pod's folder is deleted.</summary>
    public void Release()
    {
        if (!Directory.Exists(Root))
            return;
        foreach (string path in Directory.EnumerateDirectories(Root))
            PodSystem.Unmount(path);
    }
}
