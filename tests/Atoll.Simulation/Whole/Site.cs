using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;

namespace Atoll.Simulation.Whole;

/// <summary>A site: one to three nodes, the network between them, and one way to the centre.</summary>
internal sealed class Site
{
    private readonly World _world;
    private long _cutUntil;

    public Site(World world, int index)
    {
        (_world, Index, Name, Lan) = (world, index, $"site-{index}", new Lan(world));
        int nodes = world.Chance(world.IsFull ? 25 : 50) ? 1 : 2 + world.Below(2);
        for (int i = 0; i < nodes; i++)
            Nodes.Add(new Node(world, this, i));
    }

    public int Index { get; }

    public string Name { get; }

    public List<Node> Nodes { get; } = [];

    public Lan Lan { get; }

    public string Uid => _world.Centre.Api.Find(Kinds.Site, Name)?.Uid ?? "";

    /// <summary>The node that leads and does what a leader does, or null.</summary>
    public Node? Leader => Nodes.Find(n => n.Lead is { Serves: true, IsLeading: true });

    /// <summary>The site's line to the centre, or null.</summary>
    public Line? Line => Nodes.Find(n => n.Uplink?.Line is not null)?.Uplink!.Line;

    /// <summary>Whether the centre can be reached.</summary>
    public bool IsInReach => _world.Now >= _cutUntil;

    public Node? Find(string name) => Nodes.Find(n => n.Name == name);

    public void PowerOn()
    {
        foreach (Node node in Nodes)
        {
            node.PowerOn();
            node.Beat();
        }
    }

    public void Heal()
    {
        _cutUntil = 0;
        Lan.Heal();
        Line?.Cut(0);
        foreach (Node node in Nodes)
        {
            node.PowerOn();
            node.Uplink?.Dial();
        }
    }

    /// <summary>Whether the others have what any node would lose: all are up and follow one leader, and all of them vote.</summary>
    public bool CanLoseOne => Nodes.Count == 1 || (Leader is { } leader && leader.Lead!.Members is { Former: null } members && members.Nodes.Count == Nodes.Count
        && Nodes.TrueForAll(n => n == leader || (n.Copy?.Followed == leader && (!_world.IsFull || Lan.Reaches(leader, n)))));

    /// <summary>The site cannot reach the centre for a while.</summary>
    public void CutOff(int forMs)
    {
        _world.Trace($"{Name}: out of reach for {forMs} ms");
        _cutUntil = _world.Now + forMs;
        Line?.Cut(_world.Below(3));
    }

    /// <summary>The leading node runs a Job's pod, which will come to its end.</summary>
    public bool HasJobAtLeader => Nodes.Count > 2 && Leader is { } leader && leader.Store.All(Kinds.Pod).Any(p => p.Metadata.Controller()?.Kind == Kinds.Job.Kind
        && leader.Machine.Instances.Values.Any(i => i.Phase == InstancePhase.Running && i.Labels[InstanceNames.PodUid] == p.Uid));

    /// <summary>
    /// The leading node is cut off from the others while it still reaches the centre, and tells that what they never hear of; when its lead is over,
    /// the centre is out of the others' reach.
    /// </summary>
    public void Strand()
    {
        if (Nodes.Count == 1 || Leader is not { } leader)
            return;
        _world.Trace($"{Name}: {leader.Name} is cut off from the others");
        foreach (Node other in Nodes)
            Lan.Cut(leader, other);
        _world.At(1000 + _world.Below(6000), () => CutOff(15_000 + _world.Below(30_000)));
        _world.At(20_000 + _world.Below(30_000), () =>
        {
            _world.Trace($"{Name}: the network between its nodes is whole");
            Lan.Heal();
        });
    }

    /// <summary>The network between the nodes is cut somewhere for a while.</summary>
    public void CutLan()
    {
        if (Nodes.Count == 1)
            return;
        if (_world.Chance(70))
            Lan.Part(Nodes);
        else
            Lan.Cut(Nodes[_world.Below(Nodes.Count)], Nodes[_world.Below(Nodes.Count)]);
        _world.At(2000 + _world.Below(_world.Chance(40) ? 60_000 : 10_000), () =>
        {
            _world.Trace($"{Name}: the network between its nodes is whole");
            Lan.Heal();
        });
    }
}
