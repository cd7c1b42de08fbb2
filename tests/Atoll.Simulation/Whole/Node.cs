using System.Text.Json.Nodes;
using Atoll.Agent.Uplink;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Store;

namespace Atoll.Simulation.Whole;

/// <summary>
/// A node of a site: a machine with a disk and a runtime whose instances outlive the agent, a supervisor that tells the others that the
/// machine lives, and an agent that may crash. While it leads, it has the site's link; else it copies the state of whoever does.
/// </summary>
internal sealed class Node
{
    private readonly World _world;
    private readonly bool _first;
    private int _boots;
    private ulong _beats;
    private bool _replaced;

    public Node(World world, Site site, int index)
    {
        (_world, Site, Name, _first) = (world, site, $"node-{site.Index}-{index}", index == 0);
        ClockRate = 1 + ((world.Below(41) - 20) / 1000.0);
        Machine = new Machine(world, this);
        Store = new NodeStore(world);
    }

    public Site Site { get; }

    public string Name { get; }

    /// <summary>How fast its monotonic clock runs.</summary>
    public double ClockRate { get; }

    /// <summary>Counts lives of the agent: what an earlier one began does not end in a later one.</summary>
    public int Life { get; private set; }

    public bool IsUp { get; private set; }

    public bool IsPowered { get; private set; }

    public Machine Machine { get; }

    public NodeStore Store { get; }

    public NodeAgent? Agent { get; private set; }

    public NodeLead? Lead { get; private set; }

    public NodeCopy? Copy { get; private set; }

    public Uplink? Uplink { get; private set; }

    /// <summary>Copies that this node, while it leads, is giving.</summary>
    public List<CopyStream> Followers { get; } = [];

    /// <summary>True when it was told of others when it joined, or has written down for its supervisor whom to send beats to.</summary>
    public bool HasPeers => !_first || _replaced || KnowsOthers;

    /// <summary>The supervisor's file outlives the store.</summary>
    private bool KnowsOthers { get; set; }

    /// <summary>The parent's scope has been here whole, ever.</summary>
    public bool IsScopeKnown => Uplink?.State.Sequence.Revision > 0 || (Store.Entries.TryGetValue("/link/sequence", out StoreEntry? sequence) && LinkRecords.ReadSequence(sequence.Value.Span).Revision > 0);

    /// <summary>Machine and agent start: the store is read, what the runtime lists is adopted, whoever leads is found.</summary>
    public void PowerOn()
    {
        if (IsUp)
            return;
        (IsUp, IsPowered) = (true, true);
        Store.Changed = Changed;
        Store.Committed = (revision, writes) =>
        {
            foreach (CopyStream follower in Followers.ToArray())
                follower.Committed(revision, writes);
        };
        _world.Trace($"{Name}: agent starts with {Store.Objects.Count()} objects, {Machine.Instances.Count} instances");
        Lead = new NodeLead(_world, this);
        Copy = new NodeCopy(_world, this);
        Lead.Start();
        Copy.Start();
    }

    /// <summary>Node control may start.</summary>
    public void Settled()
    {
        Agent = new NodeAgent(_world, this);
        Agent.Start();
    }

    public void BeginToLead()
    {
        Uplink = new Uplink(_world, this);
        Uplink.Dial();
    }

    public void EndToLead()
    {
        Uplink?.End(orderly: true);
        Uplink = null;
        foreach (CopyStream follower in Followers.ToArray())
            follower.Close();
    }

    /// <summary>The supervisor's beats, agent or not.</summary>
    public void Beat()
    {
        KnowsOthers |= Lead?.Members.Nodes.Count > 1;
        _beats++;
        ulong counter = _beats;
        if (IsPowered && KnowsOthers)
            foreach (Node other in Site.Nodes)
                if (other != this)
                    Site.Lan.Send(this, other, () => other.Lead?.Beat(Name, counter));
        _world.At(2000, Beat);
    }

    public void CrashAgent()
    {
        if (!IsUp)
            return;
        _world.Trace($"{Name}: the agent crashes");
        Die();
        BootIn(200 + _world.Below(_world.Chance(10) ? 20_000 : 5000));
    }

    public void LosePower()
    {
        _world.Trace($"{Name}: power cut");
        Die();
        IsPowered = false;
        Machine.PowerOff();
        BootIn(1000 + _world.Below(_world.Chance(30) ? 60_000 : 15_000));
    }

    /// <summary>The node's database is found to be damaged and begun anew; records and instances stay.</summary>
    public void LoseStore()
    {
        _world.Trace($"{Name}: the store is lost");
        Die();
        Store.Lose();
        _world.Checks.Forgot(this);
        BootIn(200 + _world.Below(3000));
    }

    /// <summary>The machine burns and is replaced by an empty one, which joins as a further node does.</summary>
    public void LoseMachine()
    {
        _world.Trace($"{Name}: the machine is replaced");
        Die();
        (IsPowered, KnowsOthers, _replaced) = (false, false, true);
        Store.Lose();
        _world.Checks.Forgot(this);
        Machine.Replace();
        _world.Checks.Renewed(this);
        BootIn(2000 + _world.Below(20_000));
    }

    /// <summary>
    /// Node control writes about one of its own objects, at the leader when it follows one, else here: <paramref name="change"/> gets the
    /// newest document (null: there is none) and returns the next one, null to delete it. It is told whether that is done, or has nothing to be done to.
    /// </summary>
    public void Write(ResourceType type, string key, Func<JsonObject?, JsonObject?> change, Action<bool> done)
    {
        int life = Life;
        if (Copy?.Followed is { } leader)
            Site.Lan.Call(this, leader, 5000, answer =>
            {
                if (leader.Lead!.IsLeading)
                    leader.Commit(type, key, change, () => answer(true));
                else
                    answer(false);
            }, done);
        else if (Copy?.WriteAlone() == false)
            _world.At(0, () =>
            {
                if (life == Life)
                    done(false);
            });
        else
            Commit(type, key, change, () =>
            {
                if (life == Life)
                    done(true);
            });
    }

    public string NewUid() => $"{Name}-boot-{_boots}";

    private void Commit(ResourceType type, string key, Func<JsonObject?, JsonObject?> change, Action done)
    {
        JsonObject? newest = Store.Newest(type, key), next = change(newest?.DeepClone().AsObject());
        if (JsonNode.DeepEquals(newest, next))
            done();
        else
            Store.Commit([(NodeStore.KeyOf(type, key), next is null ? null : NodeStore.Bytes(next))], done);
    }

    private void Changed(string key, (ResourceType Type, KubeObject? Old, KubeObject? Now)? change)
    {
        if (key == "/site/members")
            Lead!.MembersChanged();
        if (change is not { } c)
            return;
        _world.Checks.Known(this, c.Type, c.Old, c.Now);
        Uplink?.Changed(c.Type, c.Old, c.Now);
        Agent?.Changed(c.Type, c.Old, c.Now);
    }

    private void Die()
    {
        Life++;
        IsUp = false;
        Store.Crash();
        Uplink?.End(orderly: false);
        foreach (CopyStream follower in Followers.ToArray())
            if (_world.Chance(60))
                follower.Close();
        Followers.Clear();
        (Agent, Lead, Copy, Uplink) = (null, null, null, null);
    }

    private void BootIn(long ms)
    {
        int life = Life;
        _boots++;
        _world.At(ms, () =>
        {
            if (life == Life)
                PowerOn();
        });
    }
}
