using System.Runtime.InteropServices;
using Atoll.Edge.Native;

namespace Atoll.Edge.Instances;

/// <summary>The system calls that volumes need and .NET does not offer.</summary>
internal static partial class PodSystem
{
    /// <summary>Plain rename(2): .NET's move looks at a link's target, and the swap of ..data must be one atomic act.</summary>
    [LibraryImport("libc", EntryPoint = "rename", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int RenameCore(string from, string to);

    /// <summary>Ownership by fsGroup, without following links.</summary>
    [LibraryImport("libc", EntryPoint = "lchown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChownCore(string path, int uid, int gid);

    public static void Rename(string from, string to)
    {
        if (RenameCore(from, to) != 0)
            throw new IOException($"rename {from}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    public static void ChangeGroup(string path, long gid)
    {
        if (ChownCore(path, -1, (int)gid) != 0)
            throw new IOException($"chown {path}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>True when the path is a mount point by the kernel's own list.</summary>
    public static bool IsMounted(string path)
    {
        foreach (string line in File.ReadLines("/proc/self/mountinfo"))
        {
            string[] fields = line.Split(' ', 6);
            if (fields.Length > 5 && fields[4].Replace("\\040", " ", StringComparison.Ordinal) == path)
                return true;
        }
        return false;
    }

    public static void MountTmpfs(string path, long sizeBytes)
    {
        if (!IsMounted(path))
            Posix.Mount("tmpfs", path, "tmpfs", 0, sizeBytes > 0 ? $"size={sizeBytes},mode=0777" : "mode=0777");
    }

    public static void Unmount(string path) => Posix.Unmount(path);
}
