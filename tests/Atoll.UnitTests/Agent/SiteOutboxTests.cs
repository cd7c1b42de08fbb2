using System.Text.Json.Nodes;
using Atoll.Agent.Uplink;
using Atoll.Api.Objects;
using Atoll.Kube.Import;
using Atoll.Link;
using Atoll.Store;

namespace Atoll.UnitTests.Agent;

public sealed class SiteOutboxTests
{
    private readonly SiteOutbox _outbox = new();

    [Fact]
    public void Only_the_latest_outcome_of_an_object_is_open_and_an_acknowledgement_closes_only_that()
    {
        _outbox.Hold(Held("p"));
        OutcomeRef first = _outbox.Update(Kinds.Pod, "p", Pod("p", "Pending"))!.Value;
        OutcomeRef second = _outbox.Update(Kinds.Pod, "p", Pod("p", "Running"))!.Value;
        Assert.Equal([second], _outbox.Open());
        Assert.Null(_outbox.HashOf(first)); // What it meant has been replaced.
        Outcome outcome = _outbox.Read("p")!;
        Assert.Equal(("pods", "default/p", "status", """{"phase":"Running"}"""), (outcome.Kind, outcome.Name, outcome.Operation, Text(outcome)));
        _outbox.Acknowledge("p", _outbox.HashOf(second)!.Value);
        Assert.Empty(_outbox.Open());
        Assert.Null(_outbox.Read("p"));
        // The same status again, under another resourceVersion, is no news.
        Assert.Null(_outbox.Update(Kinds.Pod, "p", Pod("p", "Running", revision: 9)));
        Assert.NotNull(_outbox.Update(Kinds.Pod, "p", Pod("p", "Failed")));
    }

    [Fact]
    public void What_did_not_come_down_is_not_told_and_a_pod_that_is_gone_was_stopped()
    {
        Assert.Null(_outbox.Update(Kinds.Pod, "p", Pod("p", "Running")));
        _outbox.Hold(Held("p"));
        Assert.NotNull(_outbox.Update(Kinds.Pod, "p", Pod("p", "Running")));
        Assert.NotNull(_outbox.Update(Kinds.Pod, "p", null));
        Assert.Equal("stopped", _outbox.Read("p")!.Operation);
        _outbox.Release("p");
        Assert.Null(_outbox.Update(Kinds.Pod, "p", null));
        Assert.Empty(_outbox.Open());
        // A pod whose document has no status yet has nothing to tell.
        _outbox.Hold(Held("q"));
        Assert.Null(_outbox.Update(Kinds.Pod, "q", Object(Kinds.Pod, "q", null, 1)));
    }

    [Fact]
    public void Nothing_is_kept_of_what_is_gone()
    {
        KubeObject happened = Object(Kinds.Event, "e", null, 1);
        var state = new UplinkState();
        state.Changed(Kinds.Event, null, happened);
        state.Acknowledged(state.Outbox.Open());
        Assert.Single(state.Outbox.Acked);
        state.Changed(Kinds.Event, happened, null);
        Assert.Empty(state.Outbox.Acked);
        StoreWrite written = Assert.Single(state.Unsaid());
        Assert.Null(written.Value);
        Assert.Equal(LinkRecords.Key(LinkRecords.AckedPrefix, "e").ToArray(), written.Key.ToArray());
    }

    [Fact]
    public void A_replacement_is_told_until_it_comes_down_tells_of_the_lost_pod_too_and_then_reports_like_any_other()
    {
        KubeObject made = Replacement("Pending");
        _outbox.Update(Kinds.Pod, "r", made);
        Outcome told = _outbox.Read("r")!;
        Assert.Equal(("pods", "default/r", "replace"), (told.Kind, told.Name, told.Operation));
        JsonNode body = JsonNode.Parse(told.Body.Span)!;
        Assert.Equal(("p", "n2", "Pending"), ((string?)body["replaces"], (string?)body["node"], (string?)body["status"]!["phase"]));
        // What becomes of it until the parent knows it is told by the same outcome.
        Assert.Equal(told.Sequence, _outbox.Update(Kinds.Pod, "r", Replacement("Running"))!.Value.Sequence);
        _outbox.Hold(Held("p"));
        Assert.Null(_outbox.Update(Kinds.Pod, "p", GivenUp));
        // Somebody may take it away at the parent before it comes down, and then nothing comes: it is told again at the next connection.
        _outbox.Acknowledge("r", _outbox.HashOf(new OutcomeRef(told.Sequence, "r"))!.Value);
        Assert.Equal("replace", Assert.Single(_outbox.Open().Select(o => _outbox.Read(o.Uid)!.Operation)));
        _outbox.Hold(Held("r"));
        _outbox.Update(Kinds.Pod, "r", Replacement("Running"));
        Assert.Equal("status", _outbox.Read("r")!.Operation);
    }

    /// <summary>Seed 14769 of the simulation: a parent that was put back to the older one would have believed that the site has it.</summary>
    [Fact]
    public void What_another_of_its_name_has_overwritten_is_held_no_more()
    {
        var state = new UplinkState();
        state.Take(Batch(new LinkItem("secrets", "default/s", "old", 1, "{}"u8.ToArray()), new LinkItem("configmaps", "default/s", "other", 1, "{}"u8.ToArray())), _ => { });
        ImportBatch import = state.Take(Batch(new LinkItem("secrets", "default/s", "new", 2, "{}"u8.ToArray())), _ => { });
        Assert.Equal(["new", "other"], state.Outbox.Held.Keys.Order());
        Assert.Contains(import.Writes, w => w.Value is null && w.Key.Span.SequenceEqual(LinkRecords.Key(LinkRecords.HeldPrefix, "old").Span));
    }

    [Fact]
    public void What_took_a_lost_pods_name_speaks_for_it_and_only_once_a_majority_knows_of_it()
    {
        var state = new UplinkState();
        state.Outbox.Hold(Held("p"));
        KubeObject lost = Identity("p", null, null);
        state.Changed(Kinds.Pod, null, lost);
        // As a watch tells of it: an end, then a beginning.
        state.Outbox.Expect("p", "r", "default/db-0");
        Assert.Equal((null, null), state.Changed(Kinds.Pod, lost, null));
        Assert.Equal((null, null), state.Changed(Kinds.Pod, null, Identity("r", "p", "pending")));
        Assert.Empty(state.Outbox.Open().Select(o => state.Outbox.Read(o.Uid)!.Operation)); // Neither of the one nor of the other.
        state.Changed(Kinds.Pod, Identity("r", "p", "pending"), Identity("r", "p", null));
        Assert.Equal("replace", Assert.Single(state.Outbox.Open().Select(o => state.Outbox.Read(o.Uid)!.Operation)));
        // Until it is answered, what the parent says of the lost one is kept and not carried out.
        ReadOnlyMemory<byte> body = "{}"u8.ToArray();
        Assert.Empty(state.Take(Batch(new LinkItem("pods", "default/db-0", "p", 9, body)), _ => { }).Upserts);
        // It is gone before it was answered: then the lost one is, too.
        state.Changed(Kinds.Pod, Identity("r", "p", null), null);
        Assert.Equal("stopped", Assert.Single(state.Outbox.Open().Select(o => state.Outbox.Read(o.Uid)!.Operation)));
        // The parent has forced the lost one away: only that is removed, and the answer to the replacement says what becomes of this one.
        state.Changed(Kinds.Pod, null, Identity("r", "p", null));
        Assert.Equal("p", Assert.Single(state.Take(Batch() with { Removals = ["p"] }, _ => { }).Deletes).Uid);
    }

    private static ScopeBatch Batch(params LinkItem[] upserts) => new(1, LinkSequence.None, upserts, [], []);

    private static KubeObject Identity(string uid, string? replaces, string? fencing)
    {
        JsonObject pod = Pod(uid, "Running").ToNode();
        pod["metadata"]!["name"] = "db-0";
        pod["metadata"]!["ownerReferences"] = new JsonArray(new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "StatefulSet", ["name"] = "db", ["uid"] = "s", ["controller"] = true });
        var annotations = new JsonObject();
        if (replaces is not null)
            annotations["edge.atoll.dev/replaces"] = replaces;
        if (fencing is not null)
            annotations["edge.atoll.dev/fencing"] = fencing;
        pod["metadata"]!["annotations"] = annotations;
        pod["spec"] = new JsonObject { ["nodeName"] = "n2" };
        return KubeObject.FromNode(pod);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_parent_put_back_to_before_a_replacement_hears_that_the_lost_pod_has_failed(bool isStopped)
    {
        var state = new UplinkState();
        state.Outbox.Hold(Held("p"));
        // In the order in which a start reads them.
        state.Changed(Kinds.Pod, null, GivenUp);
        state.Changed(Kinds.Pod, null, Replacement("Running"));
        Assert.Equal("replace", Assert.Single(state.Outbox.Open().Select(o => state.Outbox.Read(o.Uid)!.Operation)));
        var adopted = new ScopeBatch(1, LinkSequence.None, [new LinkItem("pods", "default/r", "r", 9, Replacement("Pending").Utf8)], [], []);
        state.Take(adopted, _ => { });
        Assert.Equal(["r", "p"], state.Applied(adopted).Select(o => o.Uid));
        state.Acknowledged(state.Outbox.Open());
        Assert.Empty(state.Outbox.Open());
        // The parent is another: it has the lost pod as it was, and of the replacement nothing.
        state.ForgetAcknowledged();
        state.Take(new ScopeBatch(2, LinkSequence.None, [], [], ["r"]), _ => { });
        if (isStopped)
        {
            state.Take(new ScopeBatch(3, LinkSequence.None, [], ["r"], []), _ => { });
            state.Changed(Kinds.Pod, Replacement("Running"), null);
        }
        Outcome told = state.Outbox.Read("p")!;
        Assert.Equal(("status", "NodeLost"), (told.Operation, (string?)JsonNode.Parse(told.Body.Span)!["reason"]));
    }

    [Fact]
    public void A_replacement_is_told_once_more_when_the_parent_has_learned_of_a_node()
    {
        var state = new UplinkState();
        state.Changed(Kinds.Pod, null, Replacement("Running"));
        OutcomeRef told = Assert.Single(state.Outbox.Open());
        state.Acknowledged([told]);
        var registered = new ScopeBatch(1, LinkSequence.None, [new LinkItem("nodes", "n2", "n", 9, "{}"u8.ToArray())], [], []);
        state.Take(registered, _ => { });
        OutcomeRef again = Assert.Single(state.Applied(registered));
        Assert.Equal("r", again.Uid);
        Assert.True(again.Sequence > told.Sequence);
        Assert.Equal("replace", state.Outbox.Read("r")!.Operation);
    }

    [Theory]
    [InlineData(false)] // The node died before the parent was put back.
    [InlineData(true)]
    public void A_replacement_of_what_the_parent_lost_is_not_told_before_somebody_has_decided(bool after)
    {
        var state = new UplinkState();
        state.Outbox.Hold(Held("p"));
        state.Changed(Kinds.Pod, null, Pod("p", "Running"));
        if (!after)
            state.Changed(Kinds.Pod, null, Replacement("Running"));
        state.ForgetAcknowledged();
        Assert.DoesNotContain(state.Outbox.Open(), o => o.Uid == "r");
        var restored = new ScopeBatch(1, new LinkSequence("h2", 5), [], [], ["p"]);
        state.Take(restored, _ => { });
        Assert.DoesNotContain(state.Applied(restored), o => o.Uid == "r");
        if (after)
            state.Changed(Kinds.Pod, null, Replacement("Running"));
        Assert.Null(state.Outbox.Read("r"));
        // It is to be stopped: the parent says the same of the one in its place.
        var stopped = restored with { Number = 2, Removals = ["p"], Orphans = [] };
        state.Take(stopped, _ => { });
        Assert.Contains(state.Applied(stopped), o => o.Uid == "r");
        Assert.Equal("replace", state.Outbox.Read("r")!.Operation);
    }

    [Fact]
    public void A_pod_whose_replacement_went_before_it_was_told_tells_of_itself()
    {
        var state = new UplinkState();
        state.Outbox.Hold(Held("p"));
        state.Changed(Kinds.Pod, null, GivenUp);
        state.Changed(Kinds.Pod, null, Replacement("Running"));
        Assert.Null(state.Outbox.Read("p"));
        Assert.Equal("p", state.Changed(Kinds.Pod, Replacement("Running"), null).Replaced?.Uid);
        Assert.Equal("status", Assert.Single(state.Outbox.Open().Select(o => state.Outbox.Read(o.Uid)!.Operation)));
    }

    private static KubeObject GivenUp => Object(Kinds.Pod, "p", """{"phase":"Failed","reason":"NodeLost"}""", 1);

    private static KubeObject Replacement(string phase)
    {
        JsonObject pod = Pod("r", phase).ToNode();
        pod["metadata"]!["annotations"] = new JsonObject { ["edge.atoll.dev/replaces"] = "p" };
        pod["spec"] = new JsonObject { ["nodeName"] = "n2" };
        return KubeObject.FromNode(pod);
    }

    [Fact]
    public void A_node_registers_until_the_parent_has_it_and_again_when_the_parent_lost_it()
    {
        KubeObject node = Object(Kinds.Node, "n", """{"capacity":{"cpu":"2"}}""", 1);
        Assert.NotNull(_outbox.Update(Kinds.Node, "n", node));
        Outcome register = _outbox.Read("n")!;
        Assert.Equal("register", register.Operation);
        Assert.Equal("n", JsonNode.Parse(register.Body.Span)!["metadata"]!["name"]!.GetValue<string>());
        // However often it is written: one outcome as long as the status is the same.
        Assert.Equal(register.Sequence, _outbox.Update(Kinds.Node, "n", Object(Kinds.Node, "n", """{"capacity":{"cpu":"2"}}""", 7))!.Value.Sequence);
        _outbox.Hold(new HeldItem("nodes", "n", "n", 3));
        _outbox.Update(Kinds.Node, "n", node);
        Assert.Equal("status", _outbox.Read("n")!.Operation);
        _outbox.Hold(new HeldItem("nodes", "n", "n", 3, Orphan: true));
        _outbox.Update(Kinds.Node, "n", node);
        Assert.Equal("register", _outbox.Read("n")!.Operation);
    }

    [Fact]
    public void Of_a_parent_that_was_put_back_a_node_that_it_lost_registers_at_once_and_a_pod_that_ended_does_not_begin_again()
    {
        var state = new UplinkState();
        ReadOnlyMemory<byte> pod = Pod("p", "Pending").Utf8;
        foreach (HeldItem held in (HeldItem[])[new("nodes", "n", "n", 3), Held("p")])
            state.Outbox.Hold(held);
        state.Changed(Kinds.Node, null, Object(Kinds.Node, "n", """{"capacity":{"cpu":"2"}}""", 1));
        state.Changed(Kinds.Pod, null, Pod("p", "Running"));
        state.Changed(Kinds.Pod, Pod("p", "Running"), null);
        state.Acknowledged(state.Outbox.Open());
        var batch = new ScopeBatch(1, LinkSequence.None, [new LinkItem("pods", "default/p", "p", 9, pod)], [], ["n"]);
        Assert.Empty(state.Take(batch, _ => { }).Upserts);
        // The copy had it without a place here when it heard of its end, and has given it this one since: it hears again.
        Assert.Equal(["stopped", "register"], state.Applied(batch).Select(o => state.Outbox.Read(o.Uid)!.Operation));
        state.Acknowledged(state.Outbox.Open());
        ImportBatch import = state.Take(batch with { Orphans = [] }, _ => { });
        Assert.Empty(import.Upserts);
        Assert.Contains(import.Writes, w => w.Value is null && w.Key.Span.SequenceEqual(LinkRecords.Key(LinkRecords.AckedPrefix, "p").Span));
        // Told to go, and then there again: another one of that identity would be news.
        state.Take(batch with { Upserts = [], Removals = ["p"], Orphans = [] }, _ => { });
        Assert.Single(state.Take(batch with { Orphans = [] }, _ => { }).Upserts);
    }

    [Fact]
    public void A_parent_that_gives_an_orphan_its_place_again_hears_its_status_again()
    {
        var state = new UplinkState();
        state.Outbox.Hold(Held("p"));
        state.Changed(Kinds.Pod, null, Pod("p", "Running"));
        state.Take(new ScopeBatch(1, LinkSequence.None, [], [], ["p"]), _ => { });
        state.Acknowledged(state.Outbox.Open());
        Assert.Empty(state.Outbox.Open());
        var placed = new ScopeBatch(2, LinkSequence.None, [new LinkItem("pods", "default/p", "p", 9, Pod("p", "Pending").Utf8)], [], []);
        Assert.Single(state.Take(placed, _ => { }).Upserts);
        Assert.Equal("status", state.Outbox.Read(Assert.Single(state.Applied(placed)).Uid)!.Operation);
        // Once: it is held like any other from here on.
        state.Acknowledged(state.Outbox.Open());
        state.Take(placed with { Number = 3 }, _ => { });
        Assert.Empty(state.Applied(placed));
    }

    [Theory]
    [InlineData("h1", 30, true, false)] // The parent told it when this node heard nothing.
    [InlineData("h1", 20, false, false)] // What is not here any more was taken away.
    [InlineData("h1", 10, false, false)]
    [InlineData("h2", 300, true, false)] // The parent was put back, and the node heard of that first.
    [InlineData("h0", 8, true, true)] // It was put back since, and may not know it: an operator decides.
    [InlineData("h0", 5, false, false)]
    [InlineData("other", 9, false, false)]
    public void What_a_node_has_of_the_parent_is_taken_in_when_this_one_cannot_have_heard_of_it(string history, long revision, bool taken, bool orphan)
    {
        UplinkState Heard()
        {
            var heard = new UplinkState();
            heard.Load(LinkRecords.SequenceKey, LinkRecords.Write(new LinkSequence("h1", 20)));
            heard.Load(LinkRecords.FormerKey, LinkRecords.Write(new LinkSequence("h0", 5)));
            return heard;
        }
        (HeldItem, JsonObject)[] unheard = [(Held("p"), Pod("p", "Running").ToNode()), (new HeldItem("unknown", "x", "x", 1), []), (Held("q"), Pod("q", "Running").ToNode()), (Held("r"), Pod("r", "Running").ToNode())];
        UplinkState state = Heard();
        state.Outbox.Hold(Held("q"));
        (ImportBatch import, List<string> uids) = state.TakeIn(unheard, new LinkSequence(history, revision), (_, name) => name == "default/r");
        Assert.Equal(taken ? ["p"] : [], uids);
        Assert.Equal(uids, import.Upserts.Select(u => (string?)u.Document["metadata"]!["uid"]));
        Assert.Equal(taken, state.Outbox.Held.TryGetValue("p", out HeldItem? held));
        if (!taken)
            return;
        Assert.Equal(orphan, held!.Orphan);
        Assert.Equal(LinkRecords.Write(held), Assert.Single(import.Writes).Value!.Value.ToArray());
        // Its status is the site's to tell from here on.
        Assert.NotNull(state.Changed(Kinds.Pod, null, Pod("p", "Running")).Open);
    }

    [Fact]
    public void What_the_parent_does_not_know_is_taken_in_from_a_node_that_followed_it_less_far()
    {
        var state = new UplinkState();
        state.Load(LinkRecords.SequenceKey, LinkRecords.Write(new LinkSequence("h1", 20)));
        (_, List<string> uids) = state.TakeIn([(Held("p") with { Orphan = true }, Pod("p", "Running").ToNode()), (Held("q"), Pod("q", "Running").ToNode())], new LinkSequence("h1", 10), (_, _) => false);
        Assert.Equal(["p"], uids);
        Assert.True(state.Outbox.Held["p"].Orphan);
    }

    [Fact]
    public void How_far_the_parent_was_followed_in_the_history_before_is_written_down()
    {
        var state = new UplinkState();
        foreach (LinkSequence sequence in (LinkSequence[])[new("a", 1), new("a", 7), new("b", 100)])
        {
            var batch = new ScopeBatch(1, sequence, [], [], []);
            ImportBatch import = state.Take(batch, _ => { });
            Assert.Equal(sequence.Incarnation == "b", import.Writes.Any(w => w.Key.Span.SequenceEqual(LinkRecords.FormerKey.Span) && LinkRecords.ReadSequence(w.Value!.Value.Span) == new LinkSequence("a", 7)));
            state.Applied(batch);
        }
        Assert.Equal(new LinkSequence("a", 7), state.Former);
    }

    [Fact]
    public void A_parent_with_another_history_is_told_everything_anew_oldest_first()
    {
        foreach (string name in (string[])["a", "b", "c"])
        {
            _outbox.Hold(Held(name));
            OutcomeRef open = _outbox.Update(Kinds.Pod, name, Pod(name, "Running"))!.Value;
            _outbox.Acknowledge(name, _outbox.HashOf(open)!.Value);
        }
        Assert.Empty(_outbox.Open());
        Assert.Equal(["a", "b", "c"], _outbox.Acked.Order());
        _outbox.ForgetAcknowledged();
        Assert.Equal(["a", "b", "c"], _outbox.Open().Select(o => o.Uid));
    }

    [Theory]
    [InlineData("""{"kind":"Pod","metadata":{"status":"x"},"status":{"a":[1,{"status":2}]},"spec":{}}""", """{"a":[1,{"status":2}]}""")]
    [InlineData("""{"spec":{"status":{}},"status":"text"}""", "\"text\"")]
    [InlineData("""{"spec":{"status":{}}}""", null)]
    [InlineData("{}", null)]
    public void The_status_is_cut_out_of_the_document_byte_for_byte(string document, string? status) =>
        Assert.Equal(status, SiteOutbox.StatusOf(System.Text.Encoding.UTF8.GetBytes(document)) is { } bytes ? System.Text.Encoding.UTF8.GetString(bytes.Span) : null);

    [Fact]
    public void Records_survive_their_bytes_and_other_bytes_are_refused()
    {
        foreach (HeldItem item in new[] { new HeldItem("pods", "default/web-ü", "u-1", 77), new HeldItem("edge.atoll.dev/sites", "x", "u-1", long.MaxValue, Orphan: true), new HeldItem("", "", "u-1", 0) })
            Assert.Equal(item, LinkRecords.ReadHeld("u-1", LinkRecords.Write(item)));
        byte[] whole = LinkRecords.Write(new HeldItem("pods", "p", "u", 1));
        foreach (byte[] bad in (byte[][])[[], [1], whole[..10], [2, .. whole[1..]], [.. whole[..10], 200, .. whole[11..]]])
            Assert.Throws<InvalidDataException>(() => LinkRecords.ReadHeld("u", bad));
        var sequence = new LinkSequence("abcdef", 1L << 48);
        Assert.Equal(sequence, LinkRecords.ReadSequence(LinkRecords.Write(sequence)));
        Assert.Equal(LinkSequence.None, LinkRecords.ReadSequence([]));
        Assert.Equal(ulong.MaxValue, LinkRecords.ReadHash(LinkRecords.WriteHash(ulong.MaxValue)));
        Assert.Equal(0UL, LinkRecords.ReadHash([1, 2]));
        ReadOnlyMemory<byte> key = LinkRecords.Key(LinkRecords.HeldPrefix, "u-1");
        Assert.Equal("u-1", LinkRecords.Uid(LinkRecords.HeldPrefix, key));
        Assert.True(key.Span.SequenceCompareTo(LinkRecords.EndOf(LinkRecords.HeldPrefix).Span) < 0);
        Assert.True(LinkRecords.Key(LinkRecords.AckedPrefix, "zzz").Span.SequenceCompareTo(LinkRecords.HeldPrefix.Span) < 0);
    }

    private static HeldItem Held(string uid) => new("pods", "default/" + uid, uid, 1);

    private static string Text(Outcome outcome) => System.Text.Encoding.UTF8.GetString(outcome.Body.Span);

    private static KubeObject Pod(string name, string phase, int revision = 1) => Object(Kinds.Pod, name, $$"""{"phase":"{{phase}}"}""", revision);

    private static KubeObject Object(ResourceType type, string name, string? status, int revision)
    {
        var document = new JsonObject
        {
            ["apiVersion"] = type.ApiVersion,
            ["kind"] = type.Kind,
            ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = type.Namespaced ? "default" : null, ["uid"] = name, ["resourceVersion"] = $"{revision}" },
            ["spec"] = new JsonObject(),
        };
        if (status is not null)
            document["status"] = JsonNode.Parse(status);
        return KubeObject.FromNode(document);
    }
}
