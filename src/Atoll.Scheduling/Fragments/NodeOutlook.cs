using System.Collections.Immutable;

namespace Atoll.Scheduling.Fragments;

/// <summary>
/// How much of a node's free GPU arriving tasks would take, in thousandths of a GPU: the mean over sequences drawn once from the
/// typical mix. Each sequence is played against the node alone; a task that fits takes the tightest GPU, one that does not is
/// passed over. All nodes and all choices meet the same sequences, so their differences carry little of the drawing's noise,
/// and the same mix always gives the same numbers.
/// </summary>
public sealed class NodeOutlook
{
    private const int Sequences = 256, Length = 70, CpuStep = 100;
    private const ulong Seed = 99;

    // The rare task: the GPUs of a full board, and the share of GPUs asked for that it is drawn with.
    private const int RareGpus = 8;
    private const double RareShare = 0.1;

    private readonly ImmutableArray<TypicalTask> _tasks;
    private readonly GpuTask[][] _drawn;
    private readonly Dictionary<NodeKey, double> _known = [];
    private readonly Dictionary<int, Model> _models = [];

    /// <summary>The outlook that this mix gives.</summary>
    public NodeOutlook(TypicalMix mix)
    {
        _tasks = WithRare(mix);
        _drawn = Draw(_tasks, new SeededRandom(Seed));
    }

    /// <summary>The outlook of a node with these cores and GPU shares left.</summary>
    public double Of(int cpuLeft, ReadOnlySpan<int> gpuLeft, int model)
    {
        Span<int> left = stackalloc int[GpuFleet.MaxGpusPerNode];
        int count = 0, free = 0;
        foreach (int share in gpuLeft)
            if (share > 0)
            {
                left[count++] = share;
                free += share;
            }
        if (free == 0)
            return 0;
        left = left[..count];
        left.Sort();
        if (!_models.TryGetValue(model, out Model? view))
            _models.Add(model, view = new Model(_tasks, _drawn, model));
        var key = NodeKey.Of(cpuLeft, left, model);
        if (!_known.TryGetValue(key, out double value))
        {
            value = view.Play(cpuLeft, left, free);
            // Nodes pass through few states in one fleet; a fleet with endless ones must not grow this without bound.
            if (_known.Count >= 1 << 20)
                _known.Clear();
            _known.Add(key, value);
        }
        return value;
    }

    // The mix leaves out the rare specs; tasks of many whole GPUs may be among them, and a node once broken up is lost to them.
    // Where the mix has none, one stands for them.
    private static ImmutableArray<TypicalTask> WithRare(TypicalMix mix)
    {
        double cores = 0, gpus = 0;
        int most = 0;
        foreach ((GpuTask task, double share) in mix.Tasks)
        {
            if (task.Gpus == 0)
                continue;
            most = Math.Max(most, task.Gpus);
            cores += share * task.CpuMilli;
            gpus += share * task.GpuTotalMilli;
        }
        double perGpu = gpus == 0 ? 0 : cores / gpus * GpuTask.WholeGpu;
        var tasks = mix.Tasks.ToBuilder();
        if (most is > 0 and < RareGpus)
            tasks.Add(new TypicalTask(new GpuTask((int)(perGpu * RareGpus), 0, RareGpus, GpuTask.WholeGpu, 0), RareShare / RareGpus));
        return tasks.ToImmutable();
    }

    // By popularity, tasks of several GPUs as often as they have GPUs: a node of eight idle GPUs is one place for a task of
    // eight but eight places for a task of one, so of the tasks of one it sees an eighth.
    private static GpuTask[][] Draw(ImmutableArray<TypicalTask> tasks, SeededRandom random)
    {
        double[] upTo = new double[tasks.Length];
        double sum = 0;
        for (int i = 0; i < upTo.Length; i++)
            upTo[i] = sum += tasks[i].Share * Math.Max(1, tasks[i].Task.Gpus);
        var drawn = new GpuTask[Sequences][];
        for (int k = 0; k < Sequences; k++)
        {
            drawn[k] = new GpuTask[tasks.Length == 0 ? 0 : Length];
            for (int i = 0; i < drawn[k].Length; i++)
            {
                int at = Array.BinarySearch(upTo, random.NextDouble() * sum);
                drawn[k][i] = tasks[Math.Min(at < 0 ? ~at : at, upTo.Length - 1)].Task;
            }
        }
        return drawn;
    }

    /// <summary>Cores, model and the sorted shares of up to sixteen GPUs, eleven bits each.</summary>
    private readonly record struct NodeKey(int Cpu, int Model, ulong A, ulong B, ulong C, ulong D)
    {
        public static NodeKey Of(int cpu, ReadOnlySpan<int> left, int model)
        {
            Span<ulong> words = stackalloc ulong[4];
            for (int i = 0; i < left.Length; i++)
                words[i / 4] |= (ulong)left[i] << (i % 4 * 11);
            return new NodeKey(cpu, model, words[0], words[1], words[2], words[3]);
        }
    }

    /// <summary>
    /// The sequences as the nodes of one GPU model see them. What is left of a node only shrinks, so a task that does not fit at
    /// the start never will: a node is played against the tasks that could fit it, kept for each class of nodes for which
    /// these are the same. A nearly full node thus meets a handful of tasks instead of thousands.
    /// </summary>
    private sealed class Model
    {
        // Specs once, and sequences as their numbers: a kept selection is small, and so many are kept at most.
        private const int MostKept = 1024;
        private readonly (int Cpu, int Gpus, int Milli, int Total)[] _specs;
        private readonly ushort[][] _sequences;
        private readonly Dictionary<(int Cpu, int Share, int Wholes), ushort[][]> _fitting = [];
        private readonly int[] _cpus, _shares;
        private readonly int _mostGpus;

        // The smallest share that any task with at most so many cores asks for, by steps of cores: below it nothing more can come.
        private readonly int[] _smallest;

        public Model(ImmutableArray<TypicalTask> tasks, GpuTask[][] drawn, int model)
        {
            int most = 0;
            var cpus = new SortedSet<int>();
            var shares = new SortedSet<int>();
            foreach ((GpuTask task, _) in tasks)
            {
                most = Math.Max(most, task.CpuMilli);
                cpus.Add(task.CpuMilli);
                if (task.Gpus == 1)
                    shares.Add(task.GpuMilli);
                _mostGpus = Math.Max(_mostGpus, task.Gpus);
            }
            (_cpus, _shares) = ([.. cpus], [.. shares]);
            _smallest = new int[most / CpuStep + 2];
            Array.Fill(_smallest, int.MaxValue);
            foreach ((GpuTask task, _) in tasks)
                if (task.Gpus > 0 && task.Allows(model))
                    for (int step = task.CpuMilli / CpuStep; step < _smallest.Length; step++)
                        _smallest[step] = Math.Min(_smallest[step], task.GpuMilli);
            var numbers = new Dictionary<GpuTask, ushort>();
            var specs = new List<(int, int, int, int)>();
            _sequences = new ushort[drawn.Length][];
            for (int k = 0; k < drawn.Length; k++)
            {
                var allowed = new List<ushort>(drawn[k].Length);
                foreach (GpuTask task in drawn[k])
                {
                    if (!task.Allows(model))
                        continue;
                    if (!numbers.TryGetValue(task, out ushort number))
                    {
                        numbers.Add(task, number = (ushort)specs.Count);
                        specs.Add((task.CpuMilli, task.Gpus, task.GpuMilli, task.GpuTotalMilli));
                    }
                    allowed.Add(number);
                }
                _sequences[k] = [.. allowed];
            }
            _specs = [.. specs];
        }

        public double Play(int cpu, ReadOnlySpan<int> left, int free)
        {
            if (Closed(cpu, left[^1]))
                return 0;
            long taken = 0;
            Span<int> scratch = stackalloc int[GpuFleet.MaxGpusPerNode];
            foreach (ushort[] sequence in Fitting(cpu, left))
            {
                left.CopyTo(scratch);
                taken += free - PlayOne(sequence, cpu, scratch, left.Length, free);
            }
            return (double)taken / _sequences.Length;
        }

        private ushort[][] Fitting(int cpu, ReadOnlySpan<int> left)
        {
            int wholes = 0;
            while (wholes < left.Length && wholes < _mostGpus && left[left.Length - 1 - wholes] >= GpuTask.WholeGpu)
                wholes++;
            (int Cpu, int Share, int Wholes) key = (Class(_cpus, cpu), Class(_shares, left[^1]), wholes);
            if (_fitting.TryGetValue(key, out ushort[][]? fitting))
                return fitting;
            int largest = left[^1];
            fitting = new ushort[_sequences.Length][];
            for (int k = 0; k < fitting.Length; k++)
            {
                ushort[] all = Array.FindAll(_sequences[k], n => _specs[n] is var t && t.Cpu <= cpu && (t.Gpus == 0 || (t.Gpus == 1 ? t.Milli <= largest : t.Gpus <= wholes)));
                // After the last task with GPUs nothing is taken any more.
                fitting[k] = all[..(Array.FindLastIndex(all, n => _specs[n].Gpus > 0) + 1)];
            }
            if (_fitting.Count >= MostKept)
                _fitting.Clear();
            _fitting.Add(key, fitting);
            return fitting;
        }

        // How many of the amounts that tasks ask for are covered: nodes with the same number fit the same tasks.
        private static int Class(int[] amounts, int amount)
        {
            int at = Array.BinarySearch(amounts, amount);
            return at >= 0 ? at + 1 : ~at;
        }

        private bool Closed(int cpu, int largest) => largest < _smallest[Math.Min(cpu / CpuStep, _smallest.Length - 1)];

        // What is free at the end. The shares are kept in ascending order, so the first that fits is the tightest.
        private int PlayOne(ushort[] sequence, int cpu, Span<int> left, int count, int free)
        {
            (int Cpu, int Gpus, int Milli, int Total)[] specs = _specs;
            foreach (ushort number in sequence)
            {
                ref (int Cpu, int Gpus, int Milli, int Total) task = ref specs[number];
                if (task.Cpu > cpu || task.Total > free)
                    continue;
                if (task.Gpus == 1)
                {
                    if (left[count - 1] < task.Milli)
                        continue;
                    count = TakeTightest(left, count, task.Milli);
                }
                else if (task.Gpus > 1)
                {
                    if (count < task.Gpus || left[count - task.Gpus] < task.Milli)
                        continue;
                    count -= task.Gpus;
                }
                cpu -= task.Cpu;
                free -= task.Total;
                if (free == 0 || Closed(cpu, left[count - 1]))
                    break;
            }
            return free;
        }

        private static int TakeTightest(Span<int> left, int count, int milli)
        {
            int at = 0;
            while (left[at] < milli)
                at++;
            int rest = left[at] - milli;
            if (rest == 0)
            {
                left[(at + 1)..count].CopyTo(left[at..]);
                return count - 1;
            }
            for (; at > 0 && left[at - 1] > rest; at--)
                left[at] = left[at - 1];
            left[at] = rest;
            return count;
        }
    }
}
