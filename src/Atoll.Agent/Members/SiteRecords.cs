using System.Text.Json;
using System.Text.Json.Serialization;
using Atoll.Agent.Uplink;
using Atoll.Api;
using Atoll.Link.Members;
using Atoll.Store;

namespace Atoll.Agent.Members;

/// <summary>How far this node's copy goes, and of whose store: written with what it speaks of. <paramref name="Led"/> says that the state is this node's own.</summary>
internal sealed record CopyPosition(long Term, long Revision, string Incarnation, bool Led);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(CopyPosition))]
internal sealed partial class SiteRecordJson : JsonSerializerContext;

/// <summary>
/// The site's own records in the store. Below <c>/site/</c> is what all nodes share, copied from the leader like the objects
/// and the link's records; below <c>/node/</c> what is this node's alone.
/// </summary>
internal static class SiteRecords
{
    /// <summary>Start of everything that is copied.</summary>
    public static IReadOnlyList<ReadOnlyMemory<byte>> Copied { get; } = ["/link/"u8.ToArray(), "/registry/"u8.ToArray(), "/site/"u8.ToArray()];

    public static ReadOnlyMemory<byte> MembersKey { get; } = "/site/members"u8.ToArray();

    /// <summary>The key under which the site's supervisors sign their beats.</summary>
    public static ReadOnlyMemory<byte> BeatKey { get; } = "/site/key"u8.ToArray();

    private static readonly ReadOnlyMemory<byte> s_position = "/node/position"u8.ToArray(), s_voter = "/node/voter"u8.ToArray();

    public static bool IsCopied(ReadOnlyMemory<byte> key)
    {
        foreach (ReadOnlyMemory<byte> prefix in Copied)
            if (key.Span.StartsWith(prefix.Span))
                return true;
        return false;
    }

    /// <summary>Whether what an agent's store has under this key can be read: of its values, too, the disk may have lost a bit.</summary>
    public static bool IsSound(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        if (key.StartsWith(LinkRecords.HeldPrefix.Span))
            return LinkRecords.IsHeld(value);
        bool isObject = key.StartsWith("/registry/"u8) || key.StartsWith("/events/"u8);
        if (!isObject && !key.StartsWith("/node/"u8) && !key.SequenceEqual(MembersKey.Span))
            return true;
        var reader = new Utf8JsonReader(value);
        try
        {
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            return document.RootElement.ValueKind == JsonValueKind.Object && reader.BytesConsumed == value.Length
                && (!isObject || (document.RootElement.TryGetProperty("metadata", out JsonElement meta) && meta.ValueKind == JsonValueKind.Object && meta.TryGetProperty("uid", out JsonElement uid) && uid.ValueKind == JsonValueKind.String));
        }
        catch (JsonException)
        {
            return false;
        }
    }

    public static StoreWrite Write(CopyPosition position) => new(s_position, JsonSerializer.SerializeToUtf8Bytes(position, SiteRecordJson.Default.CopyPosition));

    public static StoreWrite Write(VoterRecord voter) => new(s_voter, JsonSerializer.SerializeToUtf8Bytes(voter, MemberJson.Default.VoterRecord));

    public static StoreWrite Write(MemberList members) => new(MembersKey, JsonSerializer.SerializeToUtf8Bytes(members, MemberJson.Default.MemberList));

    public static async Task<CopyPosition> PositionAsync(IStore store, CancellationToken cancellation) =>
        await store.GetAsync(s_position, cancellation) is { } entry ? JsonSerializer.Deserialize(entry.Value.Span, SiteRecordJson.Default.CopyPosition)! : new CopyPosition(0, 0, "", false);

    /// <summary>
    /// What to write when this node leads: that the state is its own, last; and before it, unless it led the term before too, what the parent has acknowledged
    /// is forgotten. Who led meanwhile may have told the parent what this node never heard of, so that what counts as told here is not what the parent has.
    /// </summary>
    public static async Task<List<StoreWrite>> LedAsync(IStore store, long term, CancellationToken cancellation)
    {
        var writes = new List<StoreWrite>();
        CopyPosition before = await PositionAsync(store, cancellation);
        if ((!before.Led || before.Term < term - 1) && !ProtocolFaults.Is(ProtocolFault.TakenForTold))
            foreach (StoreEntry acked in (await store.RangeAsync(LinkRecords.AckedPrefix, LinkRecords.EndOf(LinkRecords.AckedPrefix), 0, 0, cancellation)).Entries)
                writes.Add(new StoreWrite(acked.Key, null));
        writes.Add(Write(new CopyPosition(term, store.CurrentRevision, store.Incarnation, Led: true)));
        return writes;
    }

    /// <summary>What this node's voter wrote down. A node that knows others and has no record may have lost one with its store: it counts as having promised.</summary>
    public static async Task<VoterRecord> VoterAsync(IStore store, bool knowsOthers, CancellationToken cancellation) =>
        await store.GetAsync(s_voter, cancellation) is { } entry ? JsonSerializer.Deserialize(entry.Value.Span, MemberJson.Default.VoterRecord)! : new VoterRecord(0, knowsOthers ? "@before" : null);

    /// <summary>The voters, and the revision at which this store got them (0: none).</summary>
    public static async Task<(MemberList Members, long Revision)> MembersAsync(IStore store, CancellationToken cancellation) =>
        await store.GetAsync(MembersKey, cancellation) is { } entry ? (JsonSerializer.Deserialize(entry.Value.Span, MemberJson.Default.MemberList)!, entry.ModRevision) : (MemberList.None, 0);

    public static async Task WriteAsync(IStore store, CancellationToken cancellation, params StoreWrite[] writes) =>
        await store.TransactAsync(new StoreTransaction([], writes), cancellation);
}
