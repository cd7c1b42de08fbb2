using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Quantities;

namespace Atoll.Edge.Nodes;

/// <summary>What the machine is made of: model and instruction set of its processor, NUMA nodes. Read from /proc and /sys under a folder.</summary>
internal static class HostParts
{
    // A level needs its own flags and all of the levels before it. Sources: x86-64 psABI micro-architecture levels; Arm
    // Architecture Reference Manual (mandatory features by version, as the kernel names them).
    private static readonly (string Level, string[] Flags)[] s_x86 =
    [
        ("x86-64-v1", ["lm", "cx8", "cmov", "fxsr", "mmx", "sse", "sse2"]),
        ("x86-64-v2", ["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"]),
        ("x86-64-v3", ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"]),
        ("x86-64-v4", ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
    ];

    private static readonly (string Level, string[] Flags)[] s_arm =
    [
        ("armv8.0", ["fp", "asimd"]),
        ("armv8.1", ["atomics", "asimdrdm", "crc32"]),
        ("armv8.2", ["dcpop"]),
        ("armv8.3", ["jscvt", "fcma", "lrcpc"]),
        ("armv8.4", ["dit", "uscat", "ilrcpc", "flagm"]),
        ("armv9.0", ["sve2"]),
    ];

    /// <summary>Model, level and NUMA nodes; amounts are <paramref name="share"/> of the machine's.</summary>
    public static NodeEdge Read(string root, double share)
    {
        (string? model, HashSet<string> flags, int cpus) = Processor(Path.Join(root, "proc/cpuinfo"));
        return new NodeEdge { CpuModel = model, CpuLevel = Levels(flags) is [.., var highest] ? highest : null, Numa = Numa(root, cpus, share) };
    }

    /// <summary>Levels that flags suffice for, lowest first.</summary>
    public static IReadOnlyList<string> Levels(IReadOnlySet<string> flags)
    {
        var levels = new List<string>();
        foreach ((string Level, string[] Flags)[] ladder in ((string, string[])[][])[s_x86, s_arm])
            foreach ((string level, string[] needs) in ladder)
            {
                if (!Array.TrueForAll(needs, flags.Contains))
                    break;
                levels.Add(level);
            }
        return levels;
    }

    /// <summary>The level and all below it, as labels of a node: what asks for a lower one is satisfied.</summary>
    public static IEnumerable<string> Labels(string? level)
    {
        foreach ((string Level, string[])[] ladder in ((string, string[])[][])[s_x86, s_arm])
            if (Array.FindIndex(ladder, l => l.Level == level) is >= 0 and int at)
                for (int i = 0; i <= at; i++)
                    yield return Flavours.CpuLevelPrefix + ladder[i].Level;
    }

    /// <summary>How many processors a list of the kernel names, such as <c>0-3,8</c>.</summary>
    public static int Count(string list)
    {
        int count = 0;
        foreach (string part in list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            string[] ends = part.Split('-');
            if (int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first) && int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last) && last >= first)
                count += last - first + 1;
        }
        return count;
    }

    private static (string?, HashSet<string>, int) Processor(string path)
    {
        string? model = null, implementer = null, part = null;
        var flags = new HashSet<string>(StringComparer.Ordinal);
        int cpus = 0;
        foreach (string line in File.Exists(path) ? File.ReadLines(path) : [])
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0)
                continue;
            string name = line[..colon].Trim(), value = line[(colon + 1)..].Trim();
            switch (name)
            {
                case "processor": cpus++; break;
                case "model name": model ??= value; break;
                case "CPU implementer": implementer ??= value; break;
                case "CPU part": part ??= value; break;
                case "flags" or "Features" when flags.Count == 0: flags.UnionWith(value.Split(' ', StringSplitOptions.RemoveEmptyEntries)); break;
            }
        }
        return (model ?? (implementer is null ? null : $"{implementer}:{part}"), flags, cpus);
    }

    private static List<NumaNode> Numa(string root, int cpus, double share)
    {
        var nodes = new List<NumaNode>();
        string folder = Path.Join(root, "sys/devices/system/node");
        foreach (string path in Directory.Exists(folder) ? Directory.GetDirectories(folder, "node*") : [])
        {
            if (!int.TryParse(Path.GetFileName(path)[4..], NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                continue;
            string list = HostIdentity.Line(Path.Join(path, "cpulist"));
            if (list.Length > 0)
                nodes.Add(Make(id, list, Count(list), Memory(Path.Join(path, "meminfo")), share));
        }
        nodes.Sort(static (a, b) => a.Id.CompareTo(b.Id));
        // A kernel without NUMA is one node.
        if (nodes.Count == 0 && cpus > 0)
            nodes.Add(Make(0, cpus == 1 ? "0" : $"0-{cpus - 1}", cpus, Memory(Path.Join(root, "proc/meminfo")), share));
        return nodes;
    }

    private static NumaNode Make(int id, string list, int count, long memory, double share) => new()
    {
        Id = id, Cpus = list, Cpu = Quantity.FromMilli((long)(count * 1000L * share)).ToString(), Memory = ((long)(memory * share) / 1024).ToString(CultureInfo.InvariantCulture) + "Ki",
    };

    private static long Memory(string path)
    {
        foreach (string line in File.Exists(path) ? File.ReadLines(path) : [])
            if (line.IndexOf("MemTotal:", StringComparison.Ordinal) is >= 0 and int at && line[(at + 9)..].Trim().Split(' ') is [var kib, ..]
                && long.TryParse(kib, NumberStyles.None, CultureInfo.InvariantCulture, out long value))
                return value * 1024;
        return 0;
    }
}
