using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Link;
using Atoll.Store;

namespace Atoll.Agent.Uplink;

/// <summary>
/// What a node has from the parent and the node that leads now never heard of: a leader that is cut off from its site can still be told something
/// by the parent, and give it to be run by itself. It is not stopped for another leader's not knowing it, but told to that leader.
/// </summary>
internal static class UnheardItems
{
    /// <summary>True for what the leader is told of: all of a state that <see cref="IsAhead"/>, and what the parent does not know, for then the leader can have it from nobody else.</summary>
    public static bool IsTold(HeldItem held, bool isAhead) => isAhead || (held.Orphan && !ProtocolFaults.Is(ProtocolFault.UnheardStopped));

    /// <summary>Among what a copy of the leader's state would remove: what the parent told, each with the entry that says so.</summary>
    public static List<StoreWrite> Of(IReadOnlyList<StoreEntry> gone, bool isAhead)
    {
        var held = new Dictionary<string, StoreEntry>(StringComparer.Ordinal);
        foreach (StoreEntry entry in gone)
            if (entry.Key.Span.StartsWith(LinkRecords.HeldPrefix.Span) && LinkRecords.Uid(LinkRecords.HeldPrefix, entry.Key) is var uid && IsTold(LinkRecords.ReadHeld(uid, entry.Value.Span), isAhead))
                held[uid] = entry;
        var found = new List<StoreWrite>();
        if (held.Count > 0)
            foreach (StoreEntry entry in gone)
                if (entry.Key.Span.StartsWith("/registry/"u8) && UidOf(Parse(entry.Value)) is { } told && held.TryGetValue(told, out StoreEntry? record))
                    found.AddRange([new StoreWrite(record.Key, record.Value), new StoreWrite(entry.Key, entry.Value)]);
        return found;
    }

    /// <summary>The pairs of <see cref="Of"/>, read. Throws <see cref="InvalidDataException"/> where they are none.</summary>
    public static List<(HeldItem Held, JsonObject Document)> Read(IReadOnlyList<StoreWrite> entries)
    {
        var items = new List<(HeldItem, JsonObject)>();
        for (int i = 0; i + 1 < entries.Count; i += 2)
        {
            string uid = LinkRecords.Uid(LinkRecords.HeldPrefix, entries[i].Key);
            if (!entries[i].Key.Span.StartsWith(LinkRecords.HeldPrefix.Span) || Parse(entries[i + 1].Value ?? default) is not { } document || UidOf(document) != uid)
                throw new InvalidDataException("what a node says it has of the parent is not of the form that the site's nodes use");
            items.Add((LinkRecords.ReadHeld(uid, (entries[i].Value ?? default).Span), document));
        }
        return items;
    }

    /// <summary>
    /// True when a state that has followed the parent as far as <paramref name="theirs"/> may have what another never heard of, which has followed it as far as
    /// <paramref name="ours"/>, and in the history before that as far as <paramref name="former"/>. Otherwise what it has not, it has not any more.
    /// Revisions of a later history are above all of an earlier one.
    /// </summary>
    public static bool IsAhead(LinkSequence theirs, LinkSequence ours, LinkSequence former) =>
        theirs.Revision > ours.Revision || (theirs.Incarnation != ours.Incarnation && theirs.Incarnation == former.Incarnation && theirs.Revision > former.Revision);

    private static string? UidOf(JsonObject? document) => document?["metadata"] is JsonObject meta && meta["uid"] is JsonValue uid && uid.TryGetValue(out string? text) ? text : null;

    private static JsonObject? Parse(ReadOnlyMemory<byte> value)
    {
        try
        {
            return JsonNode.Parse(value.Span) as JsonObject;
        }
        catch (System.Text.Json.JsonException)
        {
            return null;
        }
    }
}
