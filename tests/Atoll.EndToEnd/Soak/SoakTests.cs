using System.Diagnostics;
using System.Globalization;
using Atoll.EndToEnd.Sites;

namespace Atoll.EndToEnd.Soak;

/// <summary>
/// Pods come and go all along on one site: its agent stays as large as it is. 3 minutes, under ATOLL_SOAK=1 an hour. It may run in a
/// process of its own beside other tests: its installation has a number, folders and namespaces of its own.
/// </summary>
[Collection(SitesGroup.Name)]
public sealed class SoakTests(LocalRig rig, ITestOutputHelper output)
{
    private const double AllowedMiB = 2;

    [Fact]
    public async Task An_agent_under_churn_stays_flat()
    {
        rig.Need();
        bool soak = Environment.GetEnvironmentVariable("ATOLL_SOAK") == "1";
        TimeSpan warmUp = TimeSpan.FromSeconds(soak ? 300 : 60), window = TimeSpan.FromSeconds(soak ? 300 : 60), all = soak ? TimeSpan.FromMinutes(60) : TimeSpan.FromMinutes(3);
        int pid = rig.PidOf($"site-{rig.Alpha.Name}");
        string state = rig.StateOf(rig.Alpha);
        using ApiView site = LocalRig.SiteApi(rig.Alpha);
        var samples = new List<Sample>();
        var clock = Stopwatch.StartNew();
        int pods = 0;
        while (clock.Elapsed < all)
        {
            string name = $"churn-{pods++}";
            await rig.PodAsync(rig.Alpha, Sites.Pods.Sleeping(name, rig.Alpha, Sites.Pods.Mark(), "echo something to keep for a while"));
            Assert.Equal("something to keep for a while\n", await rig.KubectlAsync("logs", name));
            await rig.Centre.DeleteAsync($"/api/v1/namespaces/default/pods/{name}");
            await Until.TrueAsync("it is gone here and there", 60, async () => await site.PodsAsync() is { } here && !here.ContainsKey(name) && await rig.Centre.PodsAsync() is { } there && !there.ContainsKey(name));
            samples.Add(Sample.Take(pid, state, clock.Elapsed));
        }
        Sample first = Typical(samples.Where(s => s.At > warmUp && s.At <= warmUp + window)), last = Typical(samples.Where(s => s.At > all - window));
        output.WriteLine($"{pods} pods in {clock.Elapsed.TotalMinutes:0.0} min; after warm-up {first}, at the end {last}");
        Assert.True(last.ResidentMiB <= first.ResidentMiB + AllowedMiB, $"{first} grew to {last}");
        Assert.True(last.Threads <= first.Threads + 2, $"{first} grew to {last}"); // The runtime's pool breathes by a thread or two.
        Assert.True(last.Descriptors <= first.Descriptors, $"{first} grew to {last}");
        Assert.True(last.Mounts <= first.Mounts, $"{first} grew to {last}");
        Assert.True(last.Files <= first.Files, $"{first} grew to {last}");
        Assert.True(last.Bytes <= first.Bytes + 65_536, $"{first} grew to {last}");
        // The store's history is bounded, not flat: what the options of a site's store allow, its log included.
        Assert.InRange(samples.Max(s => s.StoreBytes), 0, 64L << 20);
    }

    /// <summary>
    /// Of memory the median of a time, for the agent gives memory back once a minute and takes up its program's text again as it works:
    /// a time is a whole number of such minutes. Of the other figures the lowest: what is there when nothing is under way.
    /// </summary>
    private static Sample Typical(IEnumerable<Sample> samples)
    {
        Sample[] all = [.. samples];
        Assert.True(all.Length >= 3, $"only {all.Length} pods came and went in this time");
        return new Sample(all[0].At, all.Select(s => s.ResidentMiB).Order().ElementAt(all.Length / 2), all.Min(s => s.Threads), all.Min(s => s.Descriptors), all.Min(s => s.Mounts), all.Min(s => s.Files), all.Min(s => s.Bytes), all.Min(s => s.StoreBytes));
    }

    private sealed record Sample(TimeSpan At, double ResidentMiB, int Threads, int Descriptors, int Mounts, int Files, long Bytes, long StoreBytes)
    {
        public static Sample Take(int pid, string state, TimeSpan at)
        {
            var status = File.ReadLines($"/proc/{pid}/status").Select(l => l.Split(':', 2)).Where(p => p.Length == 2).ToDictionary(p => p[0], p => p[1].Trim(), StringComparer.Ordinal);
            int files = 0;
            long bytes = 0, store = 0;
            foreach (FileInfo file in new DirectoryInfo(state).EnumerateFiles("*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true }))
                if (file.Name.StartsWith("site.db", StringComparison.Ordinal))
                    store += Length(file);
                else if (file.Directory!.Name != "ended") // How the last 256 pods ended.
                    (files, bytes) = (files + 1, bytes + Length(file));
            return new Sample(at, double.Parse(status["VmRSS"].Split(' ')[0], CultureInfo.InvariantCulture) / 1024, int.Parse(status["Threads"], CultureInfo.InvariantCulture),
                Directory.GetFileSystemEntries($"/proc/{pid}/fd").Length, File.ReadLines($"/proc/{pid}/mountinfo").Count(l => l.Contains(state, StringComparison.Ordinal) || l.Contains($"/run/atoll/{Path.GetFileName(state)}", StringComparison.Ordinal)), files, bytes, store);
        }

        private static long Length(FileInfo file)
        {
            file.Refresh();
            return file.Exists ? file.Length : 0;
        }

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{ResidentMiB:0.0} MiB, {Threads} threads, {Descriptors} descriptors, {Mounts} mounts, {Files} files of {Bytes} bytes, store {StoreBytes} bytes");
    }
}
