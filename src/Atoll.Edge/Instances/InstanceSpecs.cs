using System.Globalization;
using Atoll.Api.Core;
using Atoll.Edge.Content;
using Atoll.Edge.Devices;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>Makes the runtime's spec of a container: everything resolved, image and pod combined. Throws <see cref="UnresolvedException"/> in Kubernetes' words.</summary>
internal sealed class InstanceSpecs(NodeControlOptions options, PodReferences references, TimeProvider time)
{
    private const string DefaultTerminationPath = "/dev/termination-log";

    public InstanceSpec Make(Pod pod, Container container, int attempt, ImageInfo image, NodeFacts node, PodFolders folders, IReadOnlyList<string> addresses, string? netns)
    {
        Dictionary<string, string> env = EnvironmentResolver.Resolve(pod, container, references, node, addresses);
        (IReadOnlyList<string> devices, IReadOnlyDictionary<string, string> deviceEnv) = GivenParts.Devices(pod, container, options.Node.Devices);
        foreach (KeyValuePair<string, string> pair in deviceEnv)
            env[pair.Key] = pair.Value;
        string hostname = HostFiles.Hostname(pod, Environment.MachineName);
        PodSecurityContext podSecurity = pod.Spec.SecurityContext ?? new PodSecurityContext();
        SecurityContext security = container.SecurityContext ?? new SecurityContext();
        string uid = pod.Metadata.Uid!;
        return new InstanceSpec
        {
            Id = InstanceNames.Id(uid, container.Name, attempt),
            Labels = Labels(pod, container, attempt, image),
            ImageDigest = image.Digest,
            Args = Args(container, image, env),
            Environment = Merge(image, env),
            WorkingDirectory = container.WorkingDir is { Length: > 0 } own ? own : image.WorkingDirectory.Length > 0 ? image.WorkingDirectory : "/",
            Hostname = pod.Spec.HostNetwork == true ? "" : hostname,
            User = User(pod, container, image, podSecurity, security),
            Group = security.RunAsGroup ?? podSecurity.RunAsGroup,
            SupplementalGroups = Groups(podSecurity),
            RunAsNonRoot = security.RunAsNonRoot ?? podSecurity.RunAsNonRoot ?? false,
            AddCapabilities = security.Capabilities?.Add ?? [],
            DropCapabilities = security.Capabilities?.Drop ?? [],
            Privileged = security.Privileged == true,
            Unconfined = (security.SeccompProfile ?? podSecurity.SeccompProfile) is { Type: "Unconfined" },
            NoNewPrivileges = security.AllowPrivilegeEscalation == false,
            ReadOnlyRoot = security.ReadOnlyRootFilesystem == true,
            Mounts = Mounts(pod, container, attempt, folders, addresses, hostname, env),
            NetworkNamespacePath = pod.Spec.HostNetwork == true ? null : netns,
            HostPid = pod.Spec.HostPID == true,
            HostIpc = pod.Spec.HostIPC == true,
            Sysctls = (podSecurity.Sysctls ?? []).ToDictionary(s => s.Name, s => s.Value),
            CgroupParent = Cgroup,
            Batch = PodResources.IsBatch(pod),
            Limits = GivenParts.Limits(pod, container, PodResources.Limits(pod.Spec, container, options.PidsLimit, node.AllocatableMemoryBytes), node.Parts),
            Devices = devices,
            LogPath = folders.Log(container.Name, attempt),
            Tty = container.Tty == true,
            Stdin = container.Stdin == true,
            StdinOnce = container.StdinOnce == true,
        };
    }

    /// <summary>Parent of every container's cgroup. One for all, because cpu shares count only among siblings: a container's weight then is its request, whosever pod it is in.</summary>
    public const string Cgroup = "pods";

    private static Dictionary<string, string> Labels(Pod pod, Container container, int attempt, ImageInfo image)
    {
        var labels = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            [InstanceNames.PodUid] = pod.Metadata.Uid!,
            [InstanceNames.PodName] = pod.Metadata.Name!,
            [InstanceNames.PodNamespace] = pod.Metadata.Namespace!,
            [InstanceNames.Container] = container.Name,
            [InstanceNames.Attempt] = attempt.ToString(CultureInfo.InvariantCulture),
            [InstanceNames.Grace] = (pod.Spec.TerminationGracePeriodSeconds ?? 30).ToString(CultureInfo.InvariantCulture),
            [InstanceNames.Image] = container.Image ?? "",
            [InstanceNames.ImageId] = ImageId(container.Image ?? "", image),
        };
        if (pod.Metadata.HasIdentity())
            labels[InstanceNames.Identity] = "true";
        return labels;
    }

    /// <summary>status.imageID: repository and digest.</summary>
    public static string ImageId(string reference, ImageInfo image) => $"{PullSecrets.Repository(reference)}@{image.Digest}";

    private static List<string> Args(Container container, ImageInfo image, Dictionary<string, string> env)
    {
        var args = new List<string>();
        bool command = container.Command is { Count: > 0 }, arguments = container.Args is { Count: > 0 };
        foreach (string part in command ? container.Command! : image.Entrypoint)
            args.Add(command ? EnvironmentResolver.Expand(part, env) : part);
        if (arguments)
            foreach (string part in container.Args!)
                args.Add(EnvironmentResolver.Expand(part, env));
        else if (!command)
            args.AddRange(image.Command);
        return args.Count > 0 ? args : throw new UnresolvedException("no command specified");
    }

    private static List<KeyValuePair<string, string>> Merge(ImageInfo image, Dictionary<string, string> env)
    {
        var merged = new List<KeyValuePair<string, string>>();
        foreach (string pair in image.Environment)
        {
            string[] parts = pair.Split('=', 2);
            if (!env.ContainsKey(parts[0]))
                merged.Add(new(parts[0], parts.Length > 1 ? parts[1] : ""));
        }
        merged.AddRange(env);
        return merged;
    }

    private static string User(Pod pod, Container container, ImageInfo image, PodSecurityContext podSecurity, SecurityContext security)
    {
        long? user = security.RunAsUser ?? podSecurity.RunAsUser;
        if ((security.RunAsNonRoot ?? podSecurity.RunAsNonRoot) == true)
        {
            string where = $"(pod: \"{pod.Metadata.Name}_{pod.Metadata.Namespace}({pod.Metadata.Uid})\", container: {container.Name})";
            string named = image.User.Split(':', 2)[0];
            if (user == 0)
                throw new UnresolvedException($"container's runAsUser breaks non-root policy {where}");
            if (user is null && named.Length > 0 && !long.TryParse(named, NumberStyles.None, CultureInfo.InvariantCulture, out _) && named != "root")
                throw new UnresolvedException($"container has runAsNonRoot and image has non-numeric user ({named}), cannot verify user is non-root {where}");
            if (user is null && named is "" or "0" or "root")
                throw new UnresolvedException($"container has runAsNonRoot and image will run as root {where}");
        }
        return user?.ToString(CultureInfo.InvariantCulture) ?? image.User;
    }

    private static List<long> Groups(PodSecurityContext security)
    {
        var groups = new List<long>(security.SupplementalGroups ?? []);
        if (security.FsGroup is { } group && !groups.Contains(group))
            groups.Add(group);
        return groups;
    }

    private List<InstanceMount> Mounts(Pod pod, Container container, int attempt, PodFolders folders, IReadOnlyList<string> addresses, string hostname, Dictionary<string, string> env)
    {
        var volumes = new PodVolumes(folders.Pod, references, time);
        var mounts = new List<InstanceMount>();
        foreach (VolumeMount mount in container.VolumeMounts ?? [])
        {
            Volume volume = pod.Spec.Volumes?.Find(v => v.Name == mount.Name) ?? throw new UnresolvedException($"volume \"{mount.Name}\" is not defined in the pod");
            string source = volumes.PathOf(volume, pod.Metadata.Namespace ?? "");
            string? sub = !string.IsNullOrEmpty(mount.SubPathExpr) ? EnvironmentResolver.Expand(mount.SubPathExpr, env) : mount.SubPath;
            if (!string.IsNullOrEmpty(sub))
                source = SubPaths.Bind(source, sub, Path.Combine(folders.SubPaths, container.Name, mounts.Count.ToString(CultureInfo.InvariantCulture)));
            bool projected = volume.ConfigMap is not null || volume.Secret is not null || volume.DownwardAPI is not null || volume.Projected is not null;
            string? propagation = mount.MountPropagation switch { "HostToContainer" => "rslave", "Bidirectional" => "rshared", _ => null };
            mounts.Add(new InstanceMount(source, mount.MountPath, mount.ReadOnly == true || projected || volume.PersistentVolumeClaim?.ReadOnly == true, propagation));
        }
        AddFile(mounts, Path.Combine(folders.Pod, "etc-hosts"), "/etc/hosts", HostFiles.Hosts(pod, addresses, hostname, File.Exists("/etc/hosts") ? File.ReadAllText("/etc/hosts") : ""));
        AddFile(mounts, Path.Combine(folders.Pod, "hostname"), "/etc/hostname", hostname + "\n");
        AddFile(mounts, Path.Combine(folders.Pod, "resolv.conf"), "/etc/resolv.conf", HostFiles.Resolv(pod.Spec, HostFiles.ReadHostResolv()));
        string termination = folders.TerminationMessage(container.Name, attempt);
        Directory.CreateDirectory(Path.GetDirectoryName(termination)!);
        if (!File.Exists(termination))
            File.WriteAllBytes(termination, []);
        File.SetUnixFileMode(termination, (UnixFileMode)0b110_110_110);
        mounts.Add(new InstanceMount(termination, container.TerminationMessagePath is { Length: > 0 } path ? path : DefaultTerminationPath, false));
        return mounts;
    }

    private static void AddFile(List<InstanceMount> mounts, string source, string target, string content)
    {
        if (mounts.Exists(m => m.Target == target))
            return; // The pod mounts its own.
        Directory.CreateDirectory(Path.GetDirectoryName(source)!);
        // Written in place: the file is bind-mounted into containers that run.
        if (!File.Exists(source) || File.ReadAllText(source) != content)
            File.WriteAllText(source, content);
        mounts.Add(new InstanceMount(source, target, false));
    }
}
