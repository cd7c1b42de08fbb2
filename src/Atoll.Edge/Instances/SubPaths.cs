using System.Runtime.InteropServices;
using Atoll.Edge.Native;
using Microsoft.Win32.SafeHandles;

namespace Atoll.Edge.Instances;

/// <summary>
/// subPath of a volume, safe against links that the pod plants: the kernel resolves the path inside the volume (openat2
/// with RESOLVE_IN_ROOT), and what was resolved, not its name, is bound to a private place that the container mounts.
/// </summary>
internal static unsafe partial class SubPaths
{
    private const int OPath = 0x200000, OCloexec = 0x80000, ODirectory = 0x10000, Openat2Number = 437, AtFdCwd = -100, Enoent = 2;
    private const ulong ResolveInRoot = 0x10, ResolveNoMagicLinks = 0x02;

    [StructLayout(LayoutKind.Sequential)]
    private struct OpenHow { public ulong Flags, Mode, Resolve; }

    /// <summary>openat2 has no wrapper in glibc.</summary>
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial long Openat2(long number, long directory, string path, OpenHow* how, long size);

    /// <summary>mkdir relative to a resolved folder, so that no link can be put in between.</summary>
    [LibraryImport("libc", EntryPoint = "mkdirat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Mkdirat(int directory, string name, uint mode);

    /// <summary>Binds <paramref name="subPath"/> of <paramref name="volume"/> to <paramref name="target"/> and returns it. Missing folders are made.</summary>
    public static string Bind(string volume, string subPath, string target)
    {
        PodVolumes.SafePath(subPath);
        using SafeFileHandle root = Open(AtFdCwd, volume, ODirectory, 0) ?? throw new UnresolvedException($"volume folder {volume} is gone");
        using SafeFileHandle found = Resolve(root, subPath);
        string source = $"/proc/self/fd/{found.DangerousGetHandle()}";
        bool folder = Directory.Exists(source);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        if (PodSystem.IsMounted(target))
            PodSystem.Unmount(target); // An attempt before; the path may name something else now.
        if (folder)
            Directory.CreateDirectory(target);
        else if (!File.Exists(target))
            File.Create(target).Dispose();
        Posix.Mount(source, target, null, Posix.MS_BIND | Posix.MS_REC, null);
        return target;
    }

    private static SafeFileHandle Resolve(SafeFileHandle root, string path)
    {
        int fd = (int)root.DangerousGetHandle();
        if (Open(fd, path, 0, ResolveInRoot | ResolveNoMagicLinks) is { } whole)
            return whole;
        string done = "";
        foreach (string part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            string next = done.Length == 0 ? part : done + "/" + part;
            using (SafeFileHandle? have = Open(fd, next, ODirectory, ResolveInRoot | ResolveNoMagicLinks))
                if (have is null)
                {
                    using SafeFileHandle parent = Open(fd, done.Length == 0 ? "." : done, ODirectory, ResolveInRoot | ResolveNoMagicLinks) ?? throw new UnresolvedException($"subPath {path} cannot be resolved");
                    if (Mkdirat((int)parent.DangerousGetHandle(), part, 0x1ED) != 0)
                        throw new UnresolvedException($"failed to create subPath directory for volumeMount \"{path}\": {Marshal.GetLastPInvokeErrorMessage()}");
                }
            done = next;
        }
        return Open(fd, path, 0, ResolveInRoot | ResolveNoMagicLinks) ?? throw new UnresolvedException($"subPath {path} cannot be resolved");
    }

    private static SafeFileHandle? Open(int directory, string path, int flags, ulong resolve)
    {
        var how = new OpenHow { Flags = (ulong)(OPath | OCloexec | flags), Resolve = resolve };
        long fd = Openat2(Openat2Number, directory, path, &how, sizeof(OpenHow));
        if (fd >= 0)
            return new SafeFileHandle((nint)fd, true);
        return Marshal.GetLastPInvokeError() == Enoent ? null : throw new UnresolvedException($"{path}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>Undoes the binds of a pod (or of one container).</summary>
    public static void Release(string folder)
    {
        if (!Directory.Exists(folder))
            return;
        foreach (string path in Directory.EnumerateFileSystemEntries(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 1, AttributesToSkip = 0 }))
            if (PodSystem.IsMounted(path))
                PodSystem.Unmount(path);
    }
}
