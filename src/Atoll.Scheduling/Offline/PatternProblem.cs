using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>Hosts in classes, prices of moves and of room for each shape, and the patterns that were good at prices met on the way.</summary>
internal sealed class PatternProblem
{
    // Choices of machines that leave, of all classes: so many that a look at each takes some hundredths of a second.
    private const int PriceRounds = 400, PatternRounds = 60, MostPatterns = 400, MostLeaving = 2_000_000, LeastLeaving = 16, MuchLeaving = 100_000, MostActive = 100, NarrowRounds = 25;
    private const double Near = 0.3, Active = 0.45;

    private readonly RoomTable _rooms;
    private readonly DefragmentationGoal _goal;

    public PatternProblem(VmFleet fleet, VmFleetState start, DefragmentationGoal goal)
    {
        _goal = goal;
        Kinds = new PlaceKinds(fleet);
        ClassOf = new int[fleet.Hosts.Length];
        RoomPrice = new double[Kinds.Shapes.Length];
        int most = 0, unit = 0;
        foreach (int cores in start.FreeCores)
            unit = Gcd(unit, cores);
        foreach (VmShape shape in Kinds.Shapes)
            unit = Gcd(unit, shape.Cores);
        foreach (VmHost host in fleet.Hosts)
            most = Math.Max(most, Math.Max(host.First.Cores, host.Second.Cores));
        _rooms = new RoomTable(Kinds.Shapes, most, Math.Max(1, unit), goal.BlockCores);
        _isWhole = _rooms.IsExact;
        Classify(fleet, start);
        long leaving = 0;
        foreach (HostClass hosts in Classes)
            leaving += hosts.Leaving.Count;
        _isMuch = leaving > MuchLeaving;
        foreach (int cores in start.FreeCores)
            _freeCores += cores;
    }

    public PlaceKinds Kinds { get; }

    public List<HostClass> Classes { get; } = [];

    /// <summary>Class of each host.</summary>
    public int[] ClassOf { get; }

    /// <summary>Price of room for one machine of each shape, in blocks.</summary>
    public double[] RoomPrice { get; private set; }

    /// <summary>Price of one migration, in blocks.</summary>
    public double MovePrice { get; private set; } = 0.3;

    /// <summary>Blocks that no choice of patterns exceeds; all free cores in one piece where not every pattern was looked at.</summary>
    public double Bound => _isWhole ? _proven : (double)_freeCores / _goal.BlockCores;

    private readonly long _freeCores;
    private int _blocksBefore;
    private readonly bool _isMuch;
    private bool _isWhole;
    private double _lowest = double.PositiveInfinity, _proven = double.PositiveInfinity;

    /// <summary>
    /// Lowers the bound by subgradient steps on the prices and keeps the prices of the lowest; then keeps the patterns that are
    /// near the best at prices around them. Where there are very many choices most rounds look only at those that were good at the
    /// last prices for which all were looked at; only the latter prove a bound.
    /// </summary>
    /// <param name="clock">Share of the time for it that has passed; at 1 the prices so far are taken.</param>
    public void FindPrices(SeededRandom random, Func<double> clock)
    {
        double[] price = new double[RoomPrice.Length];
        for (int s = 0; s < price.Length; s++)
            RoomPrice[s] = price[s] = 0.6 * Volume(s) / _goal.BlockCores;
        double move = MovePrice, pace = 1;
        double[] slack = new double[price.Length];
        int stale = 0;
        for (int round = 0; round < PriceRounds && clock() < 0.7; round++)
        {
            bool all = !_isMuch || round % NarrowRounds == 0;
            if (all && _isMuch)
                Restart();
            double bound = Evaluate(price, move, slack, out double moves, all ? Look.All : Look.Active);
            if (bound < _lowest - 1e-7)
            {
                stale = 0;
                _lowest = bound;
                RoomPrice = [.. price];
                MovePrice = move;
            }
            else if (++stale == 8)
            {
                // Back to the best prices, with shorter steps.
                stale = 0;
                pace *= 0.6;
                RoomPrice.CopyTo(price, 0);
                move = MovePrice;
                continue;
            }
            double length = moves * moves;
            for (int s = 0; s < slack.Length; s++)
                length += slack[s] * slack[s] * Volume(s) * Volume(s) / 64;
            if (length == 0)
                break;
            double step = pace * 0.05 * Math.Max(1, bound) / length;
            move = Math.Max(0, move - step * moves);
            for (int s = 0; s < price.Length; s++)
                price[s] = Math.Max(0, price[s] - step * slack[s] * Volume(s) * Volume(s) / 64);
        }
        Evaluate(RoomPrice, MovePrice, slack, out _, Look.Keep);
        for (int round = 0; round < PatternRounds && clock() < 1; round++)
        {
            // Prices a little beside the best ones: room that costs nothing is still offered, in ever other divisions.
            for (int s = 0; s < price.Length; s++)
                price[s] = RoomPrice[s] * (0.85 + 0.3 * random.NextDouble()) + random.NextDouble() * 0.01 * Volume(s);
            Evaluate(price, MovePrice * (0.85 + 0.3 * random.NextDouble()), slack, out _, !_isMuch ? Look.Keep : Look.KeepActive);
        }

        // What seemed the lowest among few choices is looked at with all.
        void Restart()
        {
            _lowest = double.PositiveInfinity;
            RoomPrice.CopyTo(price, 0);
            move = MovePrice;
        }
    }

    private enum Look
    {
        All,
        Active,
        Keep,
        KeepActive,
    }

    private double Volume(int shape) => Kinds.Shapes[shape].Cores * (Kinds.Shapes[shape].TwoNuma ? 2 : 1);

    // The Lagrangian at these prices: each host takes its best pattern. Slack is room offered less room needed, and moves left.
    private double Evaluate(double[] price, double move, double[] slack, out double moves, Look look)
    {
        _rooms.Fill(price);
        Array.Clear(slack);
        moves = _goal.MostMoves;
        double bound = _blocksBefore + move * _goal.MostMoves;
        foreach (HostClass hosts in Classes)
        {
            double best = double.NegativeInfinity;
            (byte[] Outs, int A, int B) choice = ([], hosts.FreeA, hosts.FreeB);
            List<(byte[] Outs, int A, int B)> leaving = look is Look.Active or Look.KeepActive ? hosts.Active : hosts.Leaving;
            foreach ((byte[] outs, int a, int b) in leaving)
            {
                double value = ValueOf(outs, a, b, price, move);
                if (value > best)
                    (best, choice) = (value, (outs, a, b));
            }
            if (_isMuch && (look is Look.All or Look.Keep))
                Activate(hosts, best - Active, price, move);
            int blocks = hosts.FreeA / _goal.BlockCores + hosts.FreeB / _goal.BlockCores, count = hosts.Hosts.Count;
            bound += count * (best - blocks);
            (int restA, int restB) = (choice.A, choice.B);
            byte[] ins = _rooms.InsOf(ref restA, ref restB);
            foreach (byte kind in ins)
                slack[kind >> 1] += count;
            foreach (byte kind in choice.Outs)
                slack[kind >> 1] -= count;
            moves -= count * choice.Outs.Length;
            if (look is Look.Keep or Look.KeepActive)
                KeepNear(hosts, leaving, best - Near, price, move, blocks);
        }
        if (look is Look.All or Look.Keep)
            _proven = Math.Min(_proven, bound);
        return bound;
    }

    // The first choice is that none leaves.
    private void Activate(HostClass hosts, double least, double[] price, double move)
    {
        hosts.Active.Clear();
        foreach ((byte[] outs, int a, int b) in hosts.Leaving)
            if (hosts.Active.Count == 0 || (hosts.Active.Count < MostActive && ValueOf(outs, a, b, price, move) >= least))
                hosts.Active.Add((outs, a, b));
    }

    private double ValueOf(byte[] outs, int a, int b, double[] price, double move)
    {
        double value = _rooms.ValueOf(a, b);
        foreach (byte kind in outs)
            value -= move + price[kind >> 1];
        return value;
    }

    private void KeepNear(HostClass hosts, List<(byte[], int, int)> leaving, double least, double[] price, double move, int blocks)
    {
        foreach ((byte[] outs, int freeA, int freeB) in leaving)
        {
            if (hosts.Patterns.Count >= MostPatterns)
                return;
            if (ValueOf(outs, freeA, freeB, price, move) < least)
                continue;
            (int a, int b) = (freeA, freeB);
            byte[] ins = _rooms.InsOf(ref a, ref b);
            if (hosts.HasMemory(Kinds.Shapes, outs, ins))
                hosts.Keep(outs, ins, a / _goal.BlockCores + b / _goal.BlockCores - blocks);
        }
    }

    private void Classify(VmFleet fleet, VmFleetState start)
    {
        byte[][] counts = new byte[fleet.Hosts.Length][];
        for (int h = 0; h < counts.Length; h++)
            counts[h] = new byte[2 * Kinds.Shapes.Length];
        for (int v = 0; v < fleet.Vms.Length; v++)
        {
            ref byte count = ref counts[fleet.Vms[v].Host][2 * Kinds.ShapeOf[v] + fleet.Vms[v].Numa];
            if (fleet.Vms[v].Movable && count < HostClass.MostOuts)
                count++;
        }
        (double low, double high) = MemoryPerCore();
        var known = new Dictionary<string, int>();
        for (int h = 0; h < counts.Length; h++)
        {
            (int a, int b) = (start.FreeCores[2 * h], start.FreeCores[2 * h + 1]);
            int memoryA = Memory(start.FreeMemoryMb[2 * h], a, fleet.Hosts[h].First.Cores), memoryB = Memory(start.FreeMemoryMb[2 * h + 1], b, fleet.Hosts[h].Second.Cores);
            string key = $"{a},{b},{memoryA},{memoryB},{Convert.ToHexString(counts[h])}";
            if (!known.TryGetValue(key, out int number))
            {
                known.Add(key, number = Classes.Count);
                var hosts = new HostClass { FreeA = a, FreeB = b, MemoryA = memoryA, MemoryB = memoryB, Counts = counts[h] };
                hosts.Keep([], [], 0);
                Classes.Add(hosts);
            }
            Classes[number].Hosts.Add(h);
            ClassOf[h] = number;
            _blocksBefore += a / _goal.BlockCores + b / _goal.BlockCores;
        }
        int each = Math.Max(LeastLeaving, MostLeaving / Math.Max(1, Classes.Count));
        foreach (HostClass hosts in Classes)
            _isWhole &= hosts.Enumerate(Kinds.Shapes, each);

        // Memory that can never be what is missing makes no difference between hosts.
        int Memory(int free, int cores, int all) => free >= high * cores + (high - low) * all ? int.MaxValue / 4 : free;
    }

    private (double Low, double High) MemoryPerCore()
    {
        double low = double.MaxValue, high = 0;
        foreach (VmShape shape in Kinds.Shapes)
        {
            double ratio = (double)shape.MemoryMb / Math.Max(1, shape.Cores);
            (low, high) = (Math.Min(low, ratio), Math.Max(high, ratio));
        }
        return (low, high);
    }

    private static int Gcd(int a, int b)
    {
        while (b != 0)
            (a, b) = (b, a % b);
        return a;
    }
}
