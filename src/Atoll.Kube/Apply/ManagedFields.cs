using System.Text.Json.Nodes;
using Atoll.Kube.Resources;

namespace Atoll.Kube.Apply;

/// <summary>Who writes, and how: what tells one manager of fields from another.</summary>
/// <param name="Name">The fieldManager of the request, or the first word of its user agent.</param>
/// <param name="IsApply">True for server-side apply, false for every other write.</param>
/// <param name="ApiVersion">In which the fields are.</param>
/// <param name="Subresource">Through which it writes, or empty.</param>
internal readonly record struct FieldManager(string Name, bool IsApply, string ApiVersion, string Subresource)
{
    /// <summary>Owner of what an object held before somebody applied it for the first time.</summary>
    public const string BeforeFirstApply = "before-first-apply";

    /// <summary>Owner of what kubectl applied from its own side before that: kubectl looks for it when it goes over to server-side apply.</summary>
    public const string KubectlBefore = "kubectl-client-side-apply";

    /// <summary>Whom the oldest writers are counted under when there are too many.</summary>
    public const string Ancient = "ancient-changes";

    /// <summary>What an apply is known by does not depend on the version.</summary>
    public bool Is(FieldManager other) => Name == other.Name && IsApply == other.IsApply && Subresource == other.Subresource && (IsApply || ApiVersion == other.ApiVersion);
}

/// <summary>One entry of metadata.managedFields.</summary>
internal sealed record ManagedEntry(FieldManager Manager, string? Time, FieldSet Fields);

/// <summary>
/// metadata.managedFields of an object: who manages which of its fields. Only objects that somebody applied server-side have any: what
/// they held before belongs to <see cref="FieldManager.BeforeFirstApply"/> and <see cref="FieldManager.KubectlBefore"/>. Immutable.
/// </summary>
internal sealed class ManagedFields
{
    /// <summary>Writers other than appliers that are kept apart; the oldest are put together above that, as in Kubernetes.</summary>
    public const int MostUpdaters = 10;

    // Never anybody's: the server's own, and what names the object.
    private static readonly string[] s_systemMetadata = ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"];

    public ManagedFields(IReadOnlyList<ManagedEntry> entries) => Entries = entries;

    public IReadOnlyList<ManagedEntry> Entries { get; }

    public bool IsEmpty => Entries.Count == 0;

    /// <summary>Of a document; what cannot be read counts as none.</summary>
    public static ManagedFields Of(JsonObject document) => Read(document.Map("metadata").List("managedFields")) ?? new([]);

    /// <summary>
    /// What a writer gave in its document: null when it left them as they are (or nothing that can be read), empty when it took them
    /// away, as <c>[{}]</c> does.
    /// </summary>
    public static ManagedFields? Given(JsonObject document) => document.Map("metadata").List("managedFields") switch
    {
        null => null,
        [JsonObject { Count: 0 }] => new([]),
        { Count: 0 } => null,
        { } list => Read(list),
    };

    private static ManagedFields? Read(JsonArray? list)
    {
        var entries = new List<ManagedEntry>();
        foreach (JsonNode? item in list ?? [])
        {
            if (item.Text("operation") is not ("Apply" or "Update") || item.Text("manager") is not { } name || FieldSet.FromJson(item.Map("fieldsV1")) is not { } fields)
                return null;
            entries.Add(new(new(name, item.Text("operation") == "Apply", item.Text("apiVersion") ?? "", item.Text("subresource") ?? ""), item.Text("time"), fields));
        }
        return new(entries);
    }

    /// <summary>Puts them into a document, appliers first.</summary>
    public void Write(JsonObject document)
    {
        JsonObject meta = document.Ensure("metadata");
        meta.Remove("managedFields");
        if (IsEmpty)
            return;
        JsonArray list = [];
        foreach (ManagedEntry entry in Entries.OrderBy(e => e.Manager.IsApply ? 0 : 1).ThenBy(e => e.Time, StringComparer.Ordinal).ThenBy(e => e.Manager.Name, StringComparer.Ordinal).ThenBy(e => e.Manager.Subresource, StringComparer.Ordinal))
        {
            var item = new JsonObject
            {
                ["manager"] = entry.Manager.Name,
                ["operation"] = entry.Manager.IsApply ? "Apply" : "Update",
                ["apiVersion"] = entry.Manager.ApiVersion,
                ["time"] = entry.Time,
                ["fieldsType"] = "FieldsV1",
                ["fieldsV1"] = entry.Fields.ToJson(),
            };
            if (entry.Time is null)
                item.Remove("time");
            if (entry.Manager.Subresource.Length > 0)
                item["subresource"] = entry.Manager.Subresource;
            list.Add((JsonNode)item);
        }
        meta["managedFields"] = list;
    }

    /// <summary>What a manager has, or null.</summary>
    public FieldSet? FieldsOf(FieldManager manager) => Entries.FirstOrDefault(e => e.Manager.Is(manager))?.Fields;

    /// <summary>What any manager has.</summary>
    public FieldSet All()
    {
        var all = new FieldSet();
        foreach (ManagedEntry entry in Entries)
            all = all.Union(entry.Fields);
        return all;
    }

    /// <summary>What the other managers have of what a change writes: the conflicts of an apply.</summary>
    public IEnumerable<(FieldManager Manager, string? Time, FieldSet Fields)> Conflicts(FieldManager writer, FieldDifference change)
    {
        FieldSet written = change.Written;
        foreach (ManagedEntry entry in Entries)
            if (!entry.Manager.Is(writer) && entry.Fields.Intersect(written) is { IsEmpty: false } fields)
                yield return (entry.Manager, entry.Time, fields);
    }

    /// <summary>After a change: others lose what was written and what was removed, with all below it.</summary>
    public ManagedFields Without(FieldManager? writer, FieldDifference change)
    {
        FieldSet written = change.Written;
        var entries = new List<ManagedEntry>();
        foreach (ManagedEntry entry in Entries)
        {
            bool own = writer is { } who && entry.Manager.Is(who);
            FieldSet left = own ? entry.Fields : entry.Fields.Except(written).Except(change.Removed, recursive: true);
            if (!left.IsEmpty)
                entries.Add(entry with { Fields = left });
        }
        return new(entries);
    }

    /// <summary>With another set for a manager; an empty one takes it away. Without a change of its set its time stays, unless it is touched.</summary>
    public ManagedFields With(FieldManager manager, FieldSet fields, string now, bool touched = false)
    {
        ManagedEntry? before = Entries.FirstOrDefault(e => e.Manager.Is(manager));
        List<ManagedEntry> entries = [.. Entries.Where(e => e != before)];
        if (!fields.IsEmpty)
            entries.Add(new(manager, before is not null && !touched && before.Fields.SameAs(fields) ? before.Time : now, fields));
        return new ManagedFields(entries).Capped();
    }

    /// <summary>After a write that is no apply: the writer has what it changed, nobody else has it any more.</summary>
    public ManagedFields Updated(FieldManager writer, FieldDifference change, string now)
    {
        ManagedFields rest = Without(null, change);
        FieldSet written = change.Written;
        return written.IsEmpty ? rest : rest.With(writer, rest.FieldsOf(writer) is { } before ? before.Union(written) : written, now, touched: true);
    }

    private ManagedFields Capped()
    {
        List<ManagedEntry> updaters = [.. Entries.Where(e => !e.Manager.IsApply).OrderBy(e => e.Time, StringComparer.Ordinal)];
        if (updaters.Count <= MostUpdaters)
            return this;
        List<ManagedEntry> entries = [.. Entries], others = updaters.FindAll(e => e.Manager.Name != FieldManager.Ancient);
        foreach (ManagedEntry old in others.Take(updaters.Count - MostUpdaters + (others.Count == updaters.Count ? 1 : 0)))
        {
            entries.Remove(old);
            FieldManager ancient = new(FieldManager.Ancient, false, old.Manager.ApiVersion, "");
            ManagedEntry? bucket = entries.Find(e => e.Manager.Is(ancient));
            entries.RemoveAll(e => e == bucket);
            entries.Add(new(ancient, old.Time, bucket is null ? old.Fields : bucket.Fields.Union(old.Fields)));
        }
        return new(entries);
    }

    /// <summary>A copy of a document without what is nobody's.</summary>
    public static JsonObject Ownable(JsonObject document)
    {
        var copy = (JsonObject)document.DeepClone();
        copy.Remove("apiVersion");
        copy.Remove("kind");
        if (copy.Map("metadata") is { } meta)
            foreach (string field in s_systemMetadata)
                meta.Remove(field);
        return copy;
    }
}
