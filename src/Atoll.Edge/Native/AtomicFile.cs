using Microsoft.Win32.SafeHandles;

namespace Atoll.Edge.Native;

/// <summary>Small files that are either the old or the new content after a crash, readable by root alone.</summary>
internal static class AtomicFile
{
    /// <summary>Replaces the file; with <paramref name="durable"/> the new content also survives a power cut.</summary>
    internal static void Write(string path, ReadOnlySpan<byte> content, bool durable)
    {
        var temporary = path + ".new";
        using (var handle = Create(temporary))
        {
            RandomAccess.Write(handle, content, 0);
            if (durable) RandomAccess.FlushToDisk(handle);
        }
        File.Move(temporary, path, overwrite: true);
        if (durable) Posix.SyncFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>A folder that only root may enter.</summary>
    internal static void CreateFolder(string path) =>
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

    private static SafeFileHandle Create(string path)
    {
        using var stream = new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            BufferSize = 0,
        });
        return File.OpenHandle(path, FileMode.Open, FileAccess.Write);
    }
}
