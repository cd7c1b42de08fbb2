using Atoll.Scheduling.Fragments;

namespace Atoll.UnitTests.Scheduling.Fragments;

/// <summary>Fleets and traces drawn from a seed: the kinds of nodes and tasks that real GPU clusters have, in small.</summary>
internal static class SmallTrace
{
    public static (GpuFleet Fleet, List<GpuTask> Tasks) Draw(ulong seed, int nodes = 40, int tasks = 300)
    {
        var random = new SeededRandom(seed);
        (int Cpu, int Memory, int Gpus, int Model)[] kinds = [(96_000, 393_216, 8, 0), (96_000, 393_216, 8, 0), (104_000, 524_288, 2, 1), (16_000, 122_880, 2, 2), (48_000, 376_832, 4, 3)];
        var list = new List<GpuNode>();
        for (int i = 0; i < nodes; i++)
        {
            var kind = kinds[random.Next(kinds.Length)];
            list.Add(new GpuNode($"n-{i}", kind.Cpu, kind.Memory, kind.Gpus, kind.Model));
        }
        // A few dozen specs, each as popular as it happens to be drawn.
        var specs = new List<GpuTask>();
        for (int i = 0; i < 30; i++)
        {
            int roll = random.Next(100), cpu = 1000 * (1 + random.Next(20)), memory = 1024 * (1 + random.Next(64));
            ulong models = random.Next(8) == 0 ? 1UL << random.Next(4) : 0;
            specs.Add(roll < 15 ? new GpuTask(cpu, memory, 0, 0, 0)
                : roll < 55 ? new GpuTask(cpu, memory, 1, 1000, models)
                : roll < 92 ? new GpuTask(cpu, memory, 1, 10 * (5 + random.Next(85)), models)
                : new GpuTask(4 * cpu, memory, 1 << (1 + random.Next(3)), 1000, models & 1));
        }
        var drawn = new List<GpuTask>();
        for (int i = 0; i < tasks; i++)
            drawn.Add(specs[Math.Min(random.Next(specs.Count), random.Next(specs.Count))]);
        return (new GpuFleet([.. list], ["G2", "T4", "P100", "V100"]), drawn);
    }
}
