using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Cloud.Commands;
using Atoll.Scheduling.Capacities;
using Atoll.UnitTests.Kube;

namespace Atoll.UnitTests.Cloud;

/// <summary><c>atoll capacity</c> over a real API.</summary>
public sealed class CapacityTests : KubeTestBase
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_flavour_has_its_total_its_parts_and_what_migrations_would_add()
    {
        JsonObject node = Json("""{"metadata":{"name":"n","labels":{"topology.kubernetes.io/region":"east","topology.kubernetes.io/zone":"s1"}},"spec":{},"status":{"allocatable":{"cpu":"7","memory":"16Gi","pods":"10"},"conditions":[{"type":"Ready","status":"True"}]}}""");
        await Make(Kinds.Node, node);
        JsonObject answer = await CapacityCommand.AnswerAsync(Admin, [Flavour.Parse("4c8g"), Flavour.Parse("cpu=1,memory=1Gi")], "east", null, "site", Cancel);
        JsonNode big = answer["flavours"]![0]!, small = answer["flavours"]![1]!;
        Assert.Equal(("4c8g", 1L, "7", "16Gi"), ((string?)big["flavour"], (long)big["sellable"]!, (string?)big["free"]!["cpu"], (string?)big["free"]!["memory"]));
        Assert.Equal((Math.Round(3 / 7.0, 4), 0L), ((double)big["unsaleable"]!["cpu"]!, (long)big["migrations"]!["50"]!));
        Assert.Equal((7L, "0"), ((long)small["sellable"]!, (string?)small["services"]!["cpu"]));
        Assert.Equal("s1", (string?)Assert.Single(big["parts"]!.AsArray())!["site"]);
        CommandException none = await Assert.ThrowsAsync<CommandException>(() => CapacityCommand.AnswerAsync(Admin, [Flavour.Parse("1c1g")], "west", null, "site", Cancel));
        Assert.Equal((ExitCodes.NotFound, "region west has no node"), (none.ExitCode, none.Message));
    }
}
