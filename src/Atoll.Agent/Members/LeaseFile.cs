using System.Globalization;
using System.Runtime.InteropServices;
using Atoll.Link.Members;

namespace Atoll.Agent.Members;

/// <summary>
/// A node's lease for pods with an identity, where supervisor and agent both find it: one line below the run folder. Its end is told
/// on the clock that counts from the machine's boot, stopped machines included, with the boot's id, so that it means nothing after a
/// reboot.
/// </summary>
internal static class LeaseFile
{
    private const int BootTime = 7;

    private static readonly string s_boot = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>Time since this machine's boot, ms: the same for all of its processes.</summary>
    public static long NowMs => clock_gettime(BootTime, out Timespec at) == 0 ? (at.Seconds * 1000) + (at.Nanoseconds / 1_000_000) : throw new InvalidOperationException("the machine has no clock since its boot");

    /// <summary>The lease; none when there is no file, or one of an earlier boot.</summary>
    public static LeaseState Read(string run)
    {
        try
        {
            string[] parts = File.ReadAllText(PathOf(run)).Split(' ');
            return parts.Length == 4 && parts[0] == s_boot && Number(parts[1], out long until) && Number(parts[2], out long term) && Number(parts[3], out long revision) ? new LeaseState(until, new LogPosition(term, revision)) : default;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return default;
        }
    }

    /// <summary>Tells the agent of it; only the supervisor does.</summary>
    public static void Write(string run, LeaseState lease)
    {
        if (!Directory.Exists(run))
            return; // No agent has been here since the boot: it would have nothing to start.
        string next = PathOf(run) + ".new";
        File.WriteAllText(next, string.Create(CultureInfo.InvariantCulture, $"{s_boot} {lease.UntilMs} {lease.Since.Term} {lease.Since.Revision}"));
        File.Move(next, PathOf(run), overwrite: true);
    }

    private static string PathOf(string run) => Path.Combine(run, "identity-lease");

    private static bool Number(string text, out long value) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);

    [DllImport("libc")]
    private static extern int clock_gettime(int clock, out Timespec at);

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public nint Seconds, Nanoseconds;
    }
}
