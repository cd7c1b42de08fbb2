using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.UnitTests.Kube;

namespace Atoll.UnitTests.Api;

public sealed class FlavourTests : KubeTestBase
{
    private const string Big = """
        {"metadata":{"name":"gpu-big"},"spec":{"resources":{"cpu":"8","memory":"32Gi","edge.atoll.dev/gpu":"1"},"arch":"amd64","cpuLevel":"x86-64-v3","numa":1,"gpuModels":["A100","H100"]}}
        """;

    [Fact]
    public async Task A_pod_with_a_flavour_is_made_of_it()
    {
        await Make(Kinds.Flavour, Json(Big));
        KubeObject made = await Make(Kinds.Pod, Json("""{"metadata":{"name":"p","namespace":"default","labels":{"edge.atoll.dev/flavour":"gpu-big"}},"spec":{"containers":[{"name":"c","image":"i"}]}}"""), "default");
        JsonObject pod = made.ToNode();
        JsonNode resources = pod["spec"]!["containers"]![0]!["resources"]!;
        foreach (string list in (string[])["requests", "limits"])
            Assert.Equal(("8", "32Gi", "1"), ((string?)resources[list]!["cpu"], (string?)resources[list]!["memory"], (string?)resources[list]!["edge.atoll.dev/gpu"]));
        Assert.Equal(("amd64", "true", "Guaranteed"), ((string?)pod["spec"]!["nodeSelector"]!["kubernetes.io/arch"], (string?)pod["spec"]!["nodeSelector"]!["cpu.edge.atoll.dev/x86-64-v3"], (string?)pod["status"]!["qosClass"]));
        Assert.Equal(("single", "edge.atoll.dev/gpu: model in (A100,H100)"), ((string?)pod["metadata"]!["annotations"]![Flavours.NumaAnnotation], (string?)pod["metadata"]!["annotations"]![Flavours.DeviceAnnotation]));
        JsonObject again = (JsonObject)pod.DeepClone();
        Assert.Null(Flavours.Apply(again, Flavours.Resolve("gpu-big", _ => KubeObject.FromNode(Json(Big)))!));
        Assert.True(JsonNode.DeepEquals(pod, again));
    }

    [Theory]
    [InlineData("none-such", "{}", "metadata.labels[edge.atoll.dev/flavour]", "there is no such Flavour")]
    [InlineData("2c4g", """{"requests":{"cpu":"3"}}""", "spec.containers[0].resources.requests[cpu]", "leave it out")]
    public async Task What_contradicts_the_flavour_is_refused_with_its_field(string flavour, string resources, string field, string words)
    {
        JsonObject pod = Json("""{"metadata":{"name":"p","namespace":"default"},"spec":{"containers":[{"name":"c","image":"i"}]}}""");
        pod["metadata"]!["labels"] = new JsonObject { [WellKnown.FlavourLabel] = flavour };
        pod["spec"]!["containers"]![0]!["resources"] = JsonNode.Parse(resources);
        var result = await Admin.CreateAsync(Kinds.Pod, "default", pod, TestContext.Current.CancellationToken);
        Assert.Equal(422, result.Error!.Code);
        Assert.Equal(field, Assert.Single(result.Error.Details!.Causes!).Field);
        Assert.Contains(words, result.Error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_size_is_a_flavour()
    {
        Assert.Equal("8589934592", Flavours.ParseSize("4c8g")!["memory"]);
        Assert.Equal("0.5", Flavours.ParseSize("0.5c1g")!["cpu"]);
        foreach (string text in (string[])["", "c", "4c", "4g", "c8g", "-1c8g", "4c8", "0c8g"])
            Assert.Null(Flavours.ParseSize(text));
    }
}
