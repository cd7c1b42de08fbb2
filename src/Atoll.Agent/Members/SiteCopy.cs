using System.Net;
using Atoll.Agent.Uplink;
using Atoll.Link;
using Atoll.Link.Members;
using Atoll.Store;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Members;

/// <summary>
/// Follows the leading node while there is one and it is not this one: keeps this node's store a copy of the leader's. Whoever
/// is followed is whom this node's control writes to.
/// </summary>
internal sealed class SiteCopy(SiteLead lead, IStore store, LanClient lan, TimeProvider time, ILogger log)
{
    /// <summary>Names of the headers in which a leader says who it is.</summary>
    public const string NodeHeader = "Atoll-Node", TermHeader = "Atoll-Term", IncarnationHeader = "Atoll-Incarnation";

    private static readonly TimeSpan s_retry = TimeSpan.FromMilliseconds(250), s_again = TimeSpan.FromSeconds(3);

    private readonly TaskCompletionSource _settled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile Member? _followed;
    private string? _refused;
    private long _wholeAt;
    private int _wroteAlone;
    private volatile bool _copying;

    /// <summary>The leader that this node follows now, with a whole copy; null when this node leads or is alone.</summary>
    public Member? Followed => _followed;

    /// <summary>True once this node's copy is that of a site to which the parent has told its scope.</summary>
    public bool IsScopeKnown { get; private set; }

    /// <summary>Called each time when a copy has become whole, and when this node begins to lead: what it knows better is to be told again.</summary>
    public Action? Whole { get; set; }

    /// <summary>
    /// Ends when this node's state is as good as it gets: it leads, it has a whole copy of whoever does, or nobody is to be
    /// found. Nothing is started before, so that a node that comes back does not start what was replaced meanwhile.
    /// </summary>
    public Task Settled => _settled.Task;

    /// <summary>
    /// To be called before this node's control writes into this store itself because nobody is followed: that is to give way to the next
    /// leader's state, which is therefore copied whole. False while that is going on: then nothing may be written under it.
    /// </summary>
    public async ValueTask<bool> WriteAloneAsync(CancellationToken cancellation)
    {
        if (lead.IsAlone || lead.IsLeading)
            return true;
        if (_copying)
            return false;
        Interlocked.Increment(ref _wroteAlone);
        CopyPosition position = await SiteRecords.PositionAsync(store, cancellation);
        if (!position.Led && position.Incarnation.Length > 0)
            await SiteRecords.WriteAsync(store, cancellation, SiteRecords.Write(position with { Incarnation = "" }));
        return true;
    }

    /// <summary>Follows until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        await LookAtScopeAsync(cancellation);
        if (lead.IsAlone)
        {
            _settled.TrySetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, time, cancellation);
        }
        long started = time.GetTimestamp();
        string? told = null;
        bool led = false;
        for (int turn = 0; ; turn++)
        {
            bool wasTold = told is not null;
            string? address = told ?? Candidate(turn);
            told = null;
            bool leads = lead.IsLeading;
            if (leads)
            {
                // What it told whoever led before may not have come back with its copy.
                if (!led)
                    Whole?.Invoke();
                _settled.TrySetResult();
            }
            else if (address is not null)
            {
                told = await TryFollowAsync(address, cancellation);
                (_followed, _copying) = (null, false);
            }
            led = leads;
            // A known node goes on with what it knew; one that has never had a copy has nothing to run.
            if (told is null && lead.Members.Nodes.Count > 0 && time.GetElapsedTime(started) > TimeSpan.FromSeconds(3))
                _settled.TrySetResult();
            // Who is told of a leader asks it at once; two that name each other are not asked without end.
            if (told is null || wasTold)
                await Task.Delay(s_retry, time, cancellation);
        }
    }

    private string? Candidate(int turn)
    {
        if (lead.Leader is { } leader && leader.Name != lead.Self.Name)
            return leader.Address;
        var all = new List<string>();
        foreach (Member member in lead.Members.Nodes)
            if (member.Name != lead.Self.Name)
                all.Add(member.Address);
        foreach (string peer in lead.Peers)
            if (!all.Contains(peer) && peer != lead.Self.Address)
                all.Add(peer);
        return all.Count == 0 ? null : all[turn % all.Count];
    }

    // The address of the leader when a node that does not lead knows it, else null.
    private async Task<string?> TryFollowAsync(string address, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            limit.CancelAfter(TimeSpan.FromSeconds(4));
            int wrote = Volatile.Read(ref _wroteAlone);
            CopyPosition position = await SiteRecords.PositionAsync(store, cancellation);
            string query = $"node={Uri.EscapeDataString(lead.Self.Name)}&address={Uri.EscapeDataString(lead.Self.Address)}&incarnation={Uri.EscapeDataString(position.Led ? "" : position.Incarnation)}&after={position.Revision}{(lead.Witness is { } witness ? $"&witness={Uri.EscapeDataString(witness)}" : "")}";
            using HttpResponseMessage answer = await lan.OpenCopyAsync(address, query, limit.Token);
            if (answer.StatusCode == HttpStatusCode.MisdirectedRequest)
                return await answer.Content.ReadAsStringAsync(limit.Token) is { Length: > 0 and < 300 } other && other != address ? other : null;
            string? refused = answer.StatusCode == HttpStatusCode.Conflict ? await answer.Content.ReadAsStringAsync(limit.Token) : null;
            if (refused is { Length: > 0 } && refused != _refused)
                log.LogError("This node is not taken into the site: {Reason}", refused);
            _refused = refused;
            if (!answer.IsSuccessStatusCode || !long.TryParse(Header(answer, TermHeader), out long term) || Header(answer, NodeHeader) is not { } node || Header(answer, IncarnationHeader) is not { } incarnation || !lead.MayFollow(term))
                return null;
            _copying = true;
            // Written while the question was on its way, about going on from where the copy was: once more, for the whole.
            if (!position.Led && position.Incarnation.Length > 0 && wrote != Volatile.Read(ref _wroteAlone))
                return address;
            log.LogInformation("Following node {Leader}, which leads in term {Term}", node, term);
            await FollowAsync(answer, new Member(node, address), new CopyReceiver(store, term, incarnation, (sequence, unheard) => TellAsync(address, sequence, unheard, cancellation)), term, limit, cancellation);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or InvalidDataException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            if (_followed is { } lost)
                log.LogWarning("Node {Leader} is no longer followed: {Reason}", lost.Name, e.Message);
        }
        return null;
    }

    private async Task FollowAsync(HttpResponseMessage answer, Member leader, CopyReceiver receiver, long term, CancellationTokenSource limit, CancellationToken cancellation)
    {
        await using Stream stream = await answer.Content.ReadAsStreamAsync(limit.Token);
        while (!lead.IsLeading && lead.MayFollow(term))
        {
            limit.CancelAfter(TimeSpan.FromSeconds(6));
            if (await CopyFrames.ReadAsync(stream, limit.Token) is not { } frame)
                return;
            lead.Heard(leader.Name);
            if (_wholeAt != 0 && time.GetElapsedTime(_wholeAt) > s_again)
            {
                // Once more, now that this node's control has seen the copy.
                _wholeAt = 0;
                Whole?.Invoke();
            }
            if (await receiver.ApplyAsync(frame.Kind, frame.Revision, frame.Entries, cancellation) is { } position)
            {
                lead.Copied(position);
                await LookAtScopeAsync(cancellation);
            }
            // Changes alone may be old ones, which this node missed and of which more come.
            if (frame.Kind is CopyFrame.Alive or CopyFrame.End && !receiver.IsPartial)
                Became(leader);
        }
    }

    private async Task<IReadOnlyCollection<string>?> TellAsync(string address, LinkSequence sequence, List<StoreWrite> unheard, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(4));
        log.LogWarning("{Count} objects of the parent are here of which {Leader} has not heard: it is told", unheard.Count / 2, address);
        return await lan.TellAsync(address, sequence, unheard, limit.Token);
    }

    private async ValueTask LookAtScopeAsync(CancellationToken cancellation) =>
        IsScopeKnown = IsScopeKnown || (await store.GetAsync(LinkRecords.SequenceKey, cancellation) is { } sequence && LinkRecords.ReadSequence(sequence.Value.Span).Revision > 0);

    private void Became(Member leader)
    {
        if (_followed is not null)
            return;
        (_followed, _copying) = (leader, false);
        _wholeAt = time.GetTimestamp();
        _settled.TrySetResult();
        Whole?.Invoke();
    }

    private static string? Header(HttpResponseMessage answer, string name) => answer.Headers.TryGetValues(name, out IEnumerable<string>? values) ? values.FirstOrDefault() : null;
}
