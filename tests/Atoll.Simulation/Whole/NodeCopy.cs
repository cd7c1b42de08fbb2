using System.Text;
using Atoll.Agent.Members;
using Atoll.Link;
using Atoll.Store;

namespace Atoll.Simulation.Whole;

/// <summary>
/// How a node that does not lead follows who does, as the agent has it: it looks for the leader, copies its store by the real receiver,
/// and starts nothing before its state is as good as it gets.
/// </summary>
internal sealed class NodeCopy(World world, Node node)
{
    private readonly int _life = node.Life;
    private readonly long _started = world.Now;
    private long _wholeAt = -1;
    private bool _settled, _copying, _led;
    private int _wroteAlone;

    /// <summary>The leader that this node follows with a whole copy, or null.</summary>
    public Node? Followed { get; private set; }

    private NodeLead Lead => node.Lead!;

    private bool IsAlive => _life == node.Life;

    public void Start() => Turn(0, null);

    /// <summary>Before node control writes into this store itself: that is to give way to the next leader's state, which is therefore copied whole. False while that is going on.</summary>
    public bool WriteAlone()
    {
        if (node.Site.Nodes.Count == 1 || Lead.IsLeading)
            return true;
        if (_copying)
            return false;
        _wroteAlone++;
        CopyPosition position = SiteRecords.PositionAsync(node.Store, default).Result;
        if (!position.Led && position.Incarnation.Length > 0)
            node.Store.Commit((StoreWrite[])[SiteRecords.Write(position with { Incarnation = "" })], static () => { });
        return true;
    }

    private void Turn(int turn, Node? told)
    {
        if (!IsAlive)
            return;
        bool leads = Lead.IsLeading;
        if (leads)
        {
            // What it told whoever led before may not have come back with its copy.
            if (!_led && node.Site.Nodes.Count > 1)
                node.Agent?.Reassert();
            Settle();
        }
        _led = leads;
        if (!leads && (told ?? Candidate(turn)) is { } target)
        {
            Follow(target, other => Next(turn, other));
            return;
        }
        Next(turn, null);
    }

    private void Next(int turn, Node? told)
    {
        // A known node goes on with what it knew; one that has never had a copy has nothing to run.
        if (told is null && Lead.Members.Nodes.Count > 0 && world.Now - _started > 3000)
            Settle();
        world.At(told is null ? 250 : 1, () => Turn(turn + 1, told));
    }

    private void Settle()
    {
        if (_settled)
            return;
        _settled = true;
        node.Settled();
    }

    private Node? Candidate(int turn)
    {
        if (Lead.Leader is { } leader && leader != node)
            return leader;
        Node[] all = [.. Lead.Members.Nodes.Select(m => node.Site.Find(m.Name)).Where(n => n is not null && n != node).Select(n => n!)];
        if (all.Length == 0)
            all = [.. node.Site.Nodes.Where(n => n != node)];
        return all[turn % all.Length];
    }

    private void Follow(Node target, Action<Node?> over)
    {
        CopyPosition position = SiteRecords.PositionAsync(node.Store, default).Result;
        int wrote = _wroteAlone;
        CopyStream? opened = null;
        Node? told = null;
        node.Site.Lan.Call(node, target, 4000, answer =>
        {
            if (target.Lead!.Serves && target.Lead.IsLeading)
                opened = new CopyStream(world, target, node, position.Led ? "" : position.Incarnation, position.Revision);
            else
                told = target.Copy!.Followed ?? target.Lead.Leader;
            answer(true);
        }, ok =>
        {
            if (!ok || opened is null || !Lead.MayFollow(opened.Term))
            {
                opened?.Close();
                over(ok && told != target && told != node ? told : null);
                return;
            }
            // Written while the question was on its way, about going on from where the copy was: once more, for the whole.
            if (!position.Led && position.Incarnation.Length > 0 && wrote != _wroteAlone)
            {
                opened.Close();
                over(target);
                return;
            }
            _copying = true;
            world.Trace($"{node.Name}: follows {target.Name}, term {opened.Term}");
            var receiver = new CopyReceiver(node.Store, opened.Term, opened.Incarnation, (sequence, unheard) => Tell(target, sequence, unheard));
            Take(opened, receiver, () =>
            {
                world.Trace($"{node.Name}: no longer follows {target.Name}");
                (Followed, _copying) = (null, false);
                over(null);
            });
        });
    }

    // One frame after the other; six seconds without any end it.
    private void Take(CopyStream stream, CopyReceiver receiver, Action over)
    {
        if (!IsAlive)
            return;
        if (Lead.IsLeading || !Lead.MayFollow(stream.Term))
        {
            stream.Close();
            over();
            return;
        }
        bool done = false;
        void Ended()
        {
            if (done || !IsAlive)
                return;
            done = true;
            stream.Close();
            over();
        }
        world.At(6000, Ended);
        stream.Read(frame =>
        {
            if (done || !IsAlive)
                return;
            if (frame is not { } f)
            {
                Ended();
                return;
            }
            done = true;
            Lead.Heard(stream.Leader.Name);
            if (_wholeAt >= 0 && world.Now - _wholeAt > 3000)
            {
                _wholeAt = -1;
                node.Agent?.Reassert();
            }
            Task<CopyPosition?> applied = receiver.ApplyAsync(f.Kind, f.Revision, f.Entries, default);
            applied.ContinueWith(result => world.At(0, () =>
            {
                if (result.Exception?.InnerException is IOException)
                {
                    stream.Close();
                    over();
                }
                else
                    Applied(stream, receiver, f.Kind, result.GetAwaiter().GetResult(), over);
            }), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        });
    }

    private Task<IReadOnlyCollection<string>?> Tell(Node leader, LinkSequence sequence, List<StoreWrite> unheard)
    {
        var told = new TaskCompletionSource<IReadOnlyCollection<string>?>();
        List<string>? taken = null;
        node.Site.Lan.Call(node, leader, 4000, answer =>
        {
            if (leader.Uplink is { } uplink && leader.Lead!.IsLeading)
                uplink.TakeIn(sequence, unheard, uids =>
                {
                    taken = uids;
                    answer(true);
                });
            else
                answer(true);
        }, ok => told.SetResult(ok ? taken : null));
        return told.Task;
    }

    private void Applied(CopyStream stream, CopyReceiver receiver, CopyFrame kind, CopyPosition? position, Action over)
    {
        if (!IsAlive)
            return;
        if (position is not null)
            Lead.Copied(position);
        // Changes alone may be old ones, of which more come.
        if (kind is CopyFrame.Alive or CopyFrame.End && !receiver.IsPartial)
            Became(stream.Leader);
        Take(stream, receiver, over);
    }

    private void Became(Node leader)
    {
        if (Followed is not null)
            return;
        (Followed, _copying) = (leader, false);
        _wholeAt = world.Now;
        Settle();
        node.Agent?.Reassert();
    }
}

/// <summary>A copy on its way from a leader to a follower, in order, until either ends it or the network swallows a part of it.</summary>
internal sealed class CopyStream
{
    private readonly World _world;
    private readonly int _leaderLife, _followerLife;
    private readonly Queue<(CopyFrame Kind, long Revision, List<StoreWrite> Entries)?> _arrived = new();
    private Action<(CopyFrame Kind, long Revision, List<StoreWrite> Entries)?>? _reader;
    private long _last;
    private bool _lost, _closed;

    public CopyStream(World world, Node leader, Node follower, string incarnation, long after)
    {
        (_world, Leader, Follower, _leaderLife, _followerLife) = (world, leader, follower, leader.Life, follower.Life);
        Term = leader.Lead!.Term;
        Incarnation = leader.Store.Incarnation;
        leader.Followers.RemoveAll(f => f.Follower == follower);
        leader.Followers.Add(this);
        if (incarnation != Incarnation || after < leader.Store.CompactedRevision || after > leader.Store.CurrentRevision)
            SendAll();
        else
        {
            foreach ((long revision, IReadOnlyList<(string, byte[]?)> writes) in leader.Store.History)
                if (revision > after)
                    Committed(revision, writes);
            Put(CopyFrame.Alive, 0, []);
        }
        Beat();
    }

    public Node Leader { get; }

    public Node Follower { get; }

    public long Term { get; }

    public string Incarnation { get; }

    public void Close()
    {
        if (_closed)
            return;
        _closed = true;
        Leader.Followers.Remove(this);
        _world.At(_world.Below(50), () => Arrive(null));
    }

    public void Committed(long revision, IReadOnlyList<(string Key, byte[]? Value)> writes) =>
        Put(CopyFrame.Changes, revision, [.. writes.Where(w => SiteRecords.IsCopied(Encoding.UTF8.GetBytes(w.Key))).Select(Write)]);

    public void Read(Action<(CopyFrame Kind, long Revision, List<StoreWrite> Entries)?> reader)
    {
        if (_arrived.TryDequeue(out (CopyFrame, long, List<StoreWrite>)? frame))
            reader(frame);
        else
            _reader = reader;
    }

    private void SendAll()
    {
        long revision = Leader.Store.CurrentRevision;
        Put(CopyFrame.Begin, revision, []);
        StoreWrite[] all = [.. Leader.Store.Entries.Where(e => SiteRecords.IsCopied(e.Value.Key)).Select(e => new StoreWrite(e.Value.Key, e.Value.Value))];
        foreach (StoreWrite[] page in all.Chunk(20))
            Put(CopyFrame.Entries, 0, [.. page]);
        Put(CopyFrame.End, revision, []);
    }

    private void Beat()
    {
        if (_closed || Leader.Life != _leaderLife)
            return;
        _world.At(2000, () =>
        {
            Put(CopyFrame.Alive, 0, []);
            Beat();
        });
    }

    private void Put(CopyFrame kind, long revision, List<StoreWrite> entries)
    {
        if (_closed)
            return;
        _last = Math.Max(_last, _world.Now + 1 + _world.Below(30));
        _world.At(_last - _world.Now, () =>
        {
            // What was swallowed is never made good on this connection: nothing after it arrives.
            _lost |= !Leader.Site.Lan.Reaches(Leader, Follower);
            if (!_lost)
                Arrive((kind, revision, entries));
        });
    }

    private void Arrive((CopyFrame, long, List<StoreWrite>)? frame)
    {
        if (Follower.Life != _followerLife)
        {
            Close();
            return;
        }
        _arrived.Enqueue(frame);
        if (_reader is not { } reader)
            return;
        _reader = null;
        reader(_arrived.Dequeue());
    }

    private static StoreWrite Write((string Key, byte[]? Value) write) => new(Encoding.UTF8.GetBytes(write.Key), write.Value is null ? default(ReadOnlyMemory<byte>?) : write.Value);
}
