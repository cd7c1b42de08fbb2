using Atoll.Link;

namespace Atoll.Simulation.Link;

/// <summary>The parent: a store with revisions, the scope of each site, and a hub that opens sessions.</summary>
internal sealed class SimParent(SimWorld world) : IScopeItems
{
    private readonly RecentBodies _bodies = new(2 * 1024 * 1024);
    private Dictionary<string, LinkItem> _items = [];
    private Dictionary<string, HashSet<int>> _sites = [];
    private (Dictionary<string, LinkItem> Items, Dictionary<string, HashSet<int>> Sites, long Revision) _backup = ([], [], 1);
    private long _ids;

    public long Revision { get; private set; } = 1;

    public string Incarnation { get; private set; } = "00000000-0000-0000-0000-000000000001";

    /// <summary>Durable outcomes by site and object.</summary>
    public Dictionary<(int Site, string Uid), Outcome> Outcomes { get; private set; } = [];

    /// <summary>What each site last offered for adoption.</summary>
    public Dictionary<int, HashSet<string>> Orphans { get; } = [];

    /// <summary>Lines on which the parent still has a session: more than one of a site when an old one is half open.</summary>
    public List<SimLine> Lines { get; } = [];

    public LinkItem? Read(string uid) => _items.GetValueOrDefault(uid);

    public bool InScope(int site, string uid) => _items.ContainsKey(uid) && _sites[uid].Contains(site);

    public ParentSession NewSession() =>
        new(new LinkOptions { Software = "sim", Bodies = _bodies, BehindMs = 2000 }, this, new Random(world.Random.Next()));

    public Dictionary<string, LinkItem> ScopeOf(int site)
    {
        Dictionary<string, LinkItem> scope = [];
        foreach ((string uid, LinkItem item) in _items)
        {
            if (_sites[uid].Contains(site))
                scope.Add(uid, item);
        }
        return scope;
    }

    public LinkScope OpenScope(int site) =>
        new(new LinkSequence(Incarnation, Revision), [.. ScopeOf(site).Values.Select(item => new ItemVersion(item.Uid, item.Version))]);

    public void Populate()
    {
        int count = world.Random.Next(4) == 0 ? world.Random.Next(600) : world.Random.Next(60);
        for (int i = 0; i < count; i++)
            Create();
    }

    public void Burst()
    {
        world.Trace("parent: burst");
        for (int i = world.Random.Next(80); i >= 0; i--)
            Mutate();
    }

    public void Mutate()
    {
        int dice = world.Random.Next(100);
        string[] uids = [.. _items.Keys];
        if (dice < 30 || uids.Length == 0)
        {
            Create();
            return;
        }
        string uid = uids[world.Random.Next(uids.Length)];
        if (dice < 65)
        {
            LinkItem item = _items[uid];
            Write(item with { Version = ++Revision, Body = world.ChangeBody(item.Body) });
        }
        else if (dice < 85)
        {
            Revision++;
            _items.Remove(uid);
            HashSet<int> sites = _sites[uid];
            _sites.Remove(uid);
            world.Trace($"parent: delete {uid} at {Revision}");
            Tell(sites, [], [uid]);
        }
        else
        {
            Move(uid);
        }
    }

    /// <summary>Every session ends; the store stays.</summary>
    public void Restart()
    {
        world.Trace("parent: restart");
        _bodies.Clear();
        foreach (SimLine line in Lines.ToList())
            line.Cut(0);
    }

    /// <summary>The store goes back to an older state, with a new incarnation.</summary>
    public void Restore()
    {
        Restart();
        (_items, _sites, Revision) = (new(_backup.Items), _backup.Sites.ToDictionary(pair => pair.Key, pair => new HashSet<int>(pair.Value)), _backup.Revision);
        Incarnation = $"00000000-0000-0000-0000-{world.Random.Next():x12}";
        // What was acknowledged after the backup is lost with it.
        Outcomes = [];
        Orphans.Clear();
        world.Trace($"parent: restored to {Revision} as {Incarnation}");
    }

    public void Apply(SimSite site, OutcomeBatch batch)
    {
        foreach (Outcome outcome in batch.Outcomes)
        {
            if (!Outcomes.TryGetValue((site.Index, outcome.Uid), out Outcome? known) || known.Sequence < outcome.Sequence)
                Outcomes[(site.Index, outcome.Uid)] = outcome;
        }
    }

    private void Create()
    {
        string uid = world.Random.Next(10) == 0 ? $"odd-{_ids++}" : new Guid((int)_ids++, 1, 2, [1, 2, 3, 4, 5, 6, 7, 8]).ToString();
        HashSet<int> sites = [];
        for (int i = 0; i < world.Sites.Count; i++)
        {
            if (world.Random.Next(3) > 0)
                sites.Add(i);
        }
        _sites[uid] = sites;
        Write(new LinkItem("pods", $"default/p-{uid}", uid, ++Revision, world.MakeBody(world.BodySize())));
    }

    private void Write(LinkItem item)
    {
        _items[item.Uid] = item;
        world.Trace($"parent: write {item.Uid} at {item.Version}, {item.Body.Length} B");
        Tell(_sites[item.Uid], [new ItemVersion(item.Uid, item.Version)], []);
        if (world.Restores && world.Random.Next(30) == 0)
            _backup = (new(_items), _sites.ToDictionary(pair => pair.Key, pair => new HashSet<int>(pair.Value)), Revision);
    }

    /// <summary>An object enters or leaves a site's scope without changing: the revision is that of what moved it.</summary>
    private void Move(string uid)
    {
        int site = world.Random.Next(world.Sites.Count);
        Revision++;
        if (_sites[uid].Remove(site))
        {
            world.Trace($"parent: {uid} leaves site {site}");
            Tell([site], [], [uid]);
        }
        else
        {
            _sites[uid].Add(site);
            world.Trace($"parent: {uid} enters site {site}");
            Tell([site], [new ItemVersion(uid, _items[uid].Version)], []);
        }
    }

    private void Tell(HashSet<int> sites, IReadOnlyList<ItemVersion> upserts, IReadOnlyList<string> removals)
    {
        foreach (SimLine line in Lines.Where(line => sites.Contains(line.Site)).ToList())
        {
            foreach (ItemVersion item in upserts)
                line.Changed(item.Uid);
            line.TellParent(new LinkInput.ScopeChanged(new ScopeChange(Revision, upserts, removals)));
        }
    }
}
