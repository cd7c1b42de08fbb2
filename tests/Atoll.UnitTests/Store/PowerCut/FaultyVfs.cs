using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Data.Sqlite;

namespace Atoll.UnitTests.Store.PowerCut;

/// <summary>
/// A VFS of SQLite that lies over its own (sqlite.org/vfs.html): it opens files there and then stands between SQLite and their
/// methods xWrite, xTruncate, xSync and xClose. What a file was told to sync is taken as synced without waiting for a real disk.
/// Structures are those of sqlite3.h, version 3, which SQLite promises not to change.
/// </summary>
internal static unsafe class FaultyVfs
{
    public const string Name = "atoll-faulty";

    private const int Ok = 0, ShortRead = 522;

    private static readonly ConcurrentDictionary<string, FaultyDisk> s_disks = new(StringComparer.Ordinal);
    private static readonly ConcurrentDictionary<nint, OpenFile> s_files = new();
    private static readonly ConcurrentDictionary<nint, nint> s_methods = new();
    private static readonly Lock s_lock = new();
    private static Vfs* s_below;

    /// <summary>A disk for a folder; files in it that are opened with this VFS from now on are on it.</summary>
    public static FaultyDisk Mount(string folder)
    {
        Register();
        return s_disks[folder] = new FaultyDisk(folder);
    }

    public static void Unmount(FaultyDisk disk) => s_disks.TryRemove(disk.Folder, out _);

    private static void Register()
    {
        lock (s_lock)
        {
            if (s_below != null)
                return;
            using (var loaded = new SqliteConnection("Data Source=:memory:"))
                loaded.Open(); // The library is initialised.
            s_below = Find(null);
            var own = (Vfs*)NativeMemory.AllocZeroed((nuint)sizeof(Vfs));
            *own = *s_below;
            own->Next = null;
            own->Name = (byte*)Marshal.StringToCoTaskMemUTF8(Name);
            own->Open = &Open;
            own->Delete = &Delete;
            Assert.Equal(Ok, Register(own, 0));
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Open(Vfs* vfs, byte* name, Handle* file, int flags, int* outFlags)
    {
        int result = s_below->Open(s_below, name, file, flags, outFlags);
        if (result != Ok || file->Methods == null || name == null)
            return result;
        string path = Marshal.PtrToStringUTF8((nint)name)!;
        if (!s_disks.TryGetValue(Path.GetDirectoryName(path)!, out FaultyDisk? disk) || path.EndsWith("-shm", StringComparison.Ordinal))
            return result;
        s_files[(nint)file] = new OpenFile(disk, path, (nint)file->Methods);
        file->Methods = (Methods*)s_methods.GetOrAdd((nint)file->Methods, static below =>
        {
            var own = (Methods*)NativeMemory.AllocZeroed((nuint)sizeof(Methods));
            *own = *(Methods*)below;
            own->Close = &Close;
            own->Write = &Write;
            own->Truncate = &Truncate;
            own->Sync = &Sync;
            return (nint)own;
        });
        return result;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Delete(Vfs* vfs, byte* name, int syncFolder)
    {
        string path = Marshal.PtrToStringUTF8((nint)name)!;
        return s_disks.TryGetValue(Path.GetDirectoryName(path)!, out FaultyDisk? disk)
            ? disk.Do(() =>
            {
                disk.Synced(path);
                return s_below->Delete(s_below, name, 0);
            })
            : s_below->Delete(s_below, name, syncFolder);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Close(Handle* file)
    {
        s_files.TryRemove((nint)file, out OpenFile? open);
        file->Methods = (Methods*)open!.Below;
        return file->Methods->Close(file);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Write(Handle* file, byte* bytes, int length, long offset)
    {
        OpenFile open = s_files[(nint)file];
        return open.Disk.Do(() =>
        {
            open.Disk.Note(open.Path, new FaultyDisk.Change(offset, ReadBefore(file, open, length, offset, out long size), new ReadOnlySpan<byte>(bytes, length).ToArray(), size));
            return ((Methods*)open.Below)->Write(file, bytes, length, offset);
        });
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Truncate(Handle* file, long size)
    {
        OpenFile open = s_files[(nint)file];
        return open.Disk.Do(() =>
        {
            long before;
            ((Methods*)open.Below)->FileSize(file, &before);
            open.Disk.Note(open.Path, new FaultyDisk.Change(size, ReadBefore(file, open, (int)Math.Max(0, before - size), size, out _), null, before));
            return ((Methods*)open.Below)->Truncate(file, size);
        });
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Sync(Handle* file, int flags)
    {
        OpenFile open = s_files[(nint)file];
        return open.Disk.Do(() =>
        {
            open.Disk.Synced(open.Path);
            return Ok;
        });
    }

    private static byte[] ReadBefore(Handle* file, OpenFile open, int length, long offset, out long size)
    {
        long there;
        ((Methods*)open.Below)->FileSize(file, &there);
        size = there;
        byte[] before = new byte[Math.Clamp(there - offset, 0, length)];
        fixed (byte* target = before)
            if (before.Length > 0 && ((Methods*)open.Below)->Read(file, target, before.Length, offset) is not (Ok or ShortRead) and var failed)
                throw new IOException($"{open.Path} cannot be read: {failed}");
        return before;
    }

    private static Vfs* Find(string? name)
    {
        byte[]? bytes = name is null ? null : [.. Encoding.UTF8.GetBytes(name), 0];
        fixed (byte* text = bytes)
            return FindNative(text);
    }

    [DllImport("e_sqlite3", EntryPoint = "sqlite3_vfs_find", CallingConvention = CallingConvention.Cdecl)]
    private static extern Vfs* FindNative(byte* name);

    [DllImport("e_sqlite3", EntryPoint = "sqlite3_vfs_register", CallingConvention = CallingConvention.Cdecl)]
    private static extern int Register(Vfs* vfs, int makeDefault);

    private sealed record OpenFile(FaultyDisk Disk, string Path, nint Below);

    [StructLayout(LayoutKind.Sequential)]
    private struct Handle
    {
        public Methods* Methods;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Methods
    {
        public int Version;
        public delegate* unmanaged[Cdecl]<Handle*, int> Close;
        public delegate* unmanaged[Cdecl]<Handle*, byte*, int, long, int> Read;
        public delegate* unmanaged[Cdecl]<Handle*, byte*, int, long, int> Write;
        public delegate* unmanaged[Cdecl]<Handle*, long, int> Truncate;
        public delegate* unmanaged[Cdecl]<Handle*, int, int> Sync;
        public delegate* unmanaged[Cdecl]<Handle*, long*, int> FileSize;
        public nint Lock, Unlock, CheckReservedLock, FileControl, SectorSize, DeviceCharacteristics, ShmMap, ShmLock, ShmBarrier, ShmUnmap, Fetch, Unfetch;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Vfs
    {
        public int Version, FileBytes, MaxPath;
        public Vfs* Next;
        public byte* Name;
        public nint AppData;
        public delegate* unmanaged[Cdecl]<Vfs*, byte*, Handle*, int, int*, int> Open;
        public delegate* unmanaged[Cdecl]<Vfs*, byte*, int, int> Delete;
        public nint Access, FullPathname, DlOpen, DlError, DlSym, DlClose, Randomness, Sleep, CurrentTime, GetLastError, CurrentTimeInt64, SetSystemCall, GetSystemCall, NextSystemCall;
    }
}
