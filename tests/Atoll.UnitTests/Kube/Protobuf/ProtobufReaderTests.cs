using System.Text.Json.Nodes;
using Atoll.Kube.Http;
using Atoll.Kube.Schema;
using CsCheck;

namespace Atoll.UnitTests.Kube.Protobuf;

/// <summary>Protobuf bodies become the JSON that the same client would have sent; broken ones are refused.</summary>
public sealed class ProtobufReaderTests
{
    private static readonly Gen<byte[]> s_captures = Gen.Int[0, Captures.All.Length - 1].Select(i => Convert.FromBase64String(Captures.All[i].Base64));

    // A field of our own in a message of Kubernetes, which has no number there: only JSON says it.
    private const string Ours = "NodeStatus.edge";

    // Fields younger than Kubernetes 1.33, whose messages the table has; a client that sets them must send JSON.
    private const string Younger =
        "ClusterTrustBundleProjection.user ConfigMapVolumeSource.defaultUser DownwardAPIVolumeFile.user DownwardAPIVolumeSource.defaultUser " +
        "EmptyDirVolumeSource.mode EnvVarSource.fileKeyRef GRPCAction.mode HTTPGetAction.protocol JobSpec.scheduling KeyToPath.user NodeSpec.podPreemptionPolicy " +
        "NodeStatus.declaredFeatures NodeSystemInfo.runningInUserNamespace PersistentVolumeClaimStatus.healthStatus PodSpec.evictionResponders PodSpec.schedulingGroup PodStatus.allocatedResources " +
        "PodStatus.extendedResourceClaimStatus PodStatus.nodeAllocatableResourceClaimStatuses PodStatus.resources PodStatus.volumeHealth ProjectedVolumeSource.defaultUser " +
        "ResourceHealth.message SecretVolumeSource.defaultUser ServiceAccountTokenProjection.user VolumeMount.bindMountOptions VolumeMountStatus.volumeStatus VolumeProjection.podCertificate";

    public static TheoryData<string> CaptureNames => [.. Captures.All.Select(capture => capture.Name)];

    public static TheoryData<string> Kinds => [.. MessageWriter.Messages.Where(message => MessageWriter.Fields(message) is [[_, "metadata", "@ObjectMeta"], ..])];

    [Theory]
    [MemberData(nameof(CaptureNames))]
    public void What_kubectl_sends_is_what_it_prints_as_json(string name)
    {
        (_, string base64, string json) = Captures.All.Single(capture => capture.Name == name);
        Same(JsonNode.Parse(json)!, ProtobufReader.Parse(Convert.FromBase64String(base64)));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_field_of_a_kind_is_read(string message) => Gen.Int.Each(30, seed =>
    {
        bool group = message.StartsWith("Events", StringComparison.Ordinal);
        string kind = group ? message["Events".Length..] : message, apiVersion = group ? "events.k8s.io/v1" : "v1";
        (byte[] wire, JsonObject json) = new MessageWriter(new Random(seed)).Message(message);
        json.Insert(0, "apiVersion", apiVersion);
        json.Insert(0, "kind", kind);
        Same(json, ProtobufReader.Parse(MessageWriter.Wrap(apiVersion, kind, wire)));
    });

    [Fact]
    public void The_table_has_every_field_that_the_schema_has()
    {
        var missing = new SortedSet<string>(StringComparer.Ordinal);
        foreach (TypeShape type in Shapes.Instance.All)
            if (type.Gvk?.Split('/') is { } gvk && gvk[2] is var kind && (gvk[0] == "events.k8s.io" ? "Events" + kind : kind) is var message && MessageWriter.Messages.Contains(message))
                Compare(type, message, missing, []);
        Assert.True(missing.SetEquals(Younger.Split(' ').Append(Ours)), string.Join(' ', missing));
    }

    [Fact]
    public void Zeros_that_were_said_stay_and_those_that_Go_omits_go()
    {
        var spec = new MemoryStream();
        MessageWriter.Number(spec, 1, 0); // replicas: a pointer
        MessageWriter.Number(spec, 5, 0); // minReadySeconds: none
        MessageWriter.Number(spec, 7, 0); // paused: none
        Same(Document("Deployment", """{"spec":{"replicas":0}}"""), Read("Deployment", 2, spec.ToArray()));
    }

    [Fact]
    public void Numbers_may_come_packed()
    {
        // PodSpec.securityContext.supplementalGroups
        byte[] pod = Nest(14, Nest(4, [1, 0x96, 1]));
        Same(Document("Pod", """{"spec":{"securityContext":{"supplementalGroups":[1,150]}}}"""), Read("Pod", 2, pod));
    }

    [Fact]
    public void A_field_that_is_newer_than_the_table_is_passed_over() =>
        Same(Document("Namespace", """{"metadata":{"name":"a"}}"""), Read("Namespace", 1, [.. Nest(1, "a"u8.ToArray()), .. Nest(999, "b"u8.ToArray())]));

    [Theory]
    [InlineData("0a0568", "cut short")]
    [InlineData("0801", "a number stands where")]
    [InlineData("0a020a0161", "cut short")]
    [InlineData("0a030a01ff", "valid protobuf of ConfigMap")]
    [InlineData("0200", "broken")]
    [InlineData("0f", "broken")]
    [InlineData("ffffffffffffffffffff01", "broken")]
    [InlineData("0a0b420908011080b0e8ccfe07", "valid protobuf of ConfigMap")]
    [InlineData("0a02420142", "valid protobuf of ConfigMap")]
    public void Broken_messages_are_refused(string hex, string because)
    {
        FormatException error = Assert.Throws<FormatException>(() => ProtobufReader.Parse(MessageWriter.Wrap("v1", "ConfigMap", Convert.FromHexString(hex))));
        Assert.Contains(because, error.Message, StringComparison.Ordinal);
        Assert.StartsWith("the body is not valid protobuf of ConfigMap: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_our_envelope_is_refused()
    {
        Assert.Contains("does not start", Assert.Throws<FormatException>(() => ProtobufReader.Parse("{}"u8)).Message, StringComparison.Ordinal);
        Assert.Contains("autoscaling/v1 HorizontalPodAutoscaler is not read as protobuf: send JSON", Assert.Throws<FormatException>(() => ProtobufReader.Parse(MessageWriter.Wrap("autoscaling/v1", "HorizontalPodAutoscaler", []))).Message, StringComparison.Ordinal);
        byte[] encoded = [.. MessageWriter.Wrap("v1", "Secret", []), .. Nest(3, "gzip"u8.ToArray())];
        Assert.Contains("encoded", Assert.Throws<FormatException>(() => ProtobufReader.Parse(encoded)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Noise_never_harms() => Gen.Byte.Array[0, 300].Each(1000, noise => ReadOrRefuse(MessageWriter.Wrap("v1", "Pod", noise)));

    [Fact]
    public void A_changed_body_is_read_or_refused() => Gen.Select(s_captures, Gen.Int[0, 10_000], Gen.Byte, Gen.Int[0, 300]).Each(1000, drawn =>
    {
        (byte[] body, int at, byte value, int cut) = drawn;
        body[at % body.Length] = value;
        ReadOrRefuse(body);
        ReadOrRefuse(body[..Math.Min(cut, body.Length)]);
    });

    private static void ReadOrRefuse(byte[] body)
    {
        try
        {
            Assert.NotNull(ProtobufReader.Parse(body)["kind"]);
        }
        catch (FormatException e)
        {
            Assert.NotEmpty(e.Message);
        }
    }

    private static void Compare(TypeShape type, string message, SortedSet<string> missing, HashSet<(string, string)> seen)
    {
        if (!seen.Add((type.Name, message)))
            return;
        Dictionary<string, string> fields = Flat(message).ToDictionary(field => field.Name, field => field.Type);
        foreach (FieldShape field in type.Fields)
        {
            if (field.Name is "kind" or "apiVersion" && type.Gvk is not null)
                continue;
            if (!fields.TryGetValue(field.Name, out string? held))
                missing.Add($"{message}.{field.Name}");
            else if (held.TrimStart('*', '{') is ['@', .. var inner] && field.Type is not null)
                Compare(field.Type, inner, missing, seen);
        }
    }

    private static IEnumerable<(string Name, string Type)> Flat(string message) =>
        MessageWriter.Fields(message).SelectMany(field => field[1].Length > 0 ? [(field[1], field[2])] : Flat(field[2][1..]));

    private static byte[] Nest(int field, byte[] value)
    {
        var to = new MemoryStream();
        MessageWriter.Bytes(to, field, value);
        return to.ToArray();
    }

    private static JsonObject Read(string kind, int field, byte[] value) => ProtobufReader.Parse(MessageWriter.Wrap("v1", kind, Nest(field, value)));

    private static JsonObject Document(string kind, string json)
    {
        JsonObject document = JsonNode.Parse(json)!.AsObject();
        document.Insert(0, "apiVersion", "v1");
        document.Insert(0, "kind", kind);
        return document;
    }

    private static void Same(JsonNode expected, JsonNode actual) =>
        Assert.True(JsonNode.DeepEquals(expected, actual), $"expected {expected.ToJsonString()}\n but read {actual.ToJsonString()}");
}
