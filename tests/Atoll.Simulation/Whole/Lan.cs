namespace Atoll.Simulation.Whole;

/// <summary>
/// The network between the nodes of a site: packets are lost, late, doubled and out of order; nodes are parted into sides or cut one
/// way; a call (a request with its answer) fails when its way or its time is over.
/// </summary>
internal sealed class Lan(World world)
{
    private readonly Dictionary<Node, int> _sides = [];
    private readonly HashSet<(Node From, Node To)> _cuts = [];

    public bool Reaches(Node from, Node to) => from == to || (_sides.GetValueOrDefault(from) == _sides.GetValueOrDefault(to) && !_cuts.Contains((from, to)));

    public void Part(IReadOnlyList<Node> nodes)
    {
        foreach (Node node in nodes)
            _sides[node] = world.Below(2);
        world.Trace($"lan: parted into {string.Join(' ', nodes.Select(n => $"{n.Name}:{_sides[n]}"))}");
    }

    public void Cut(Node from, Node to)
    {
        world.Trace($"lan: nothing gets from {from.Name} to {to.Name}");
        _cuts.Add((from, to));
    }

    public void Heal()
    {
        _sides.Clear();
        _cuts.Clear();
    }

    /// <summary>A packet: it may be lost, late or doubled.</summary>
    public void Send(Node from, Node to, Action deliver)
    {
        if (world.Faulty && world.Chance(6))
            return;
        for (int copies = world.Faulty && world.Chance(5) ? 2 : 1; copies > 0; copies--)
            world.At(Delay(), () =>
            {
                if (Reaches(from, to) && to.IsUp)
                    deliver();
            });
    }

    /// <summary>
    /// A call on a connection: <paramref name="serve"/> runs once at most at the other node and answers through what it is given;
    /// <paramref name="answered"/> is told once, false when nothing came in time.
    /// </summary>
    public void Call(Node from, Node to, int withinMs, Action<Action<bool>> serve, Action<bool> answered)
    {
        (int life, int served) = (from.Life, to.Life);
        bool over = false;
        void End(bool ok)
        {
            if (over || life != from.Life)
                return;
            over = true;
            answered(ok);
        }
        world.At(withinMs, () => End(false));
        if (!to.IsUp && Reaches(from, to))
        {
            world.At(Delay(), () => End(false));
            return;
        }
        world.At(Delay(), () =>
        {
            // Who gave up, or died, has closed the connection.
            if (!over && life == from.Life && Reaches(from, to) && to.IsUp && to.Life == served)
                serve(ok => world.At(Delay(), () =>
                {
                    if (Reaches(to, from))
                        End(ok);
                }));
        });
    }

    private int Delay() => world.Faulty && world.Chance(6) ? 200 + world.Below(9000) : 1 + world.Below(40);
}
