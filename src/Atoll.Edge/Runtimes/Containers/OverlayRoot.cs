using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>An instance's root file system: the image's layers below, a folder of its own above.</summary>
internal static class OverlayRoot
{
    /// <summary>
    /// Mounts the overlay. mount(2) takes one page of options, and a hundred layers of long paths do not fit: each layer gets
    /// a one-number link in the instance's folder, named relative to it, on a thread whose working folder is its own.
    /// </summary>
    internal static Task MountAsync(string folder, IReadOnlyList<string> layers) => Posix.OnThread(() =>
    {
        var links = Path.Join(folder, "l");
        foreach (var name in (string[])["l", "upper", "work", "root"]) AtomicFile.CreateFolder(Path.Join(folder, name));
        // The overlay's root shows the upper folder's mode: it is the container's /, which everybody may enter.
        File.SetUnixFileMode(Path.Join(folder, "upper"), (UnixFileMode)0b111_101_101);
        var lower = new System.Text.StringBuilder();
        for (var i = layers.Count - 1; i >= 0; i--)
        {
            var link = Path.Join(links, i.ToString(System.Globalization.CultureInfo.InvariantCulture));
            File.Delete(link);
            File.CreateSymbolicLink(link, layers[i]);
            lower.Append(lower.Length > 0 ? ":" : "").Append(i);
        }
        Posix.Unshare(Posix.CLONE_FS);
        Posix.ChangeFolder(links);
        Posix.Mount("overlay", "../root", "overlay", 0, $"lowerdir={lower},upperdir=../upper,workdir=../work");
        return true;
    });

    internal static void Unmount(string folder)
    {
        var root = Path.Join(folder, "root");
        if (Directory.Exists(root)) Posix.Unmount(root);
    }
}
