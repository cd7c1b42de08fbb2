using System.Text;
using Atoll.Scheduling.Offline;

namespace Atoll.UnitTests.Scheduling.Offline;

/// <summary>Reading snapshots, and what is said about documents that are wrong.</summary>
public sealed class ByteDanceFormatTests
{
    [Fact]
    public void A_snapshot_survives_being_written_and_read()
    {
        VmFleet fleet = SmallVmFleet.Draw(3, 10), read = Read(SmallVmFleet.ToJson(fleet));
        Assert.Equal(fleet.Hosts, read.Hosts);
        Assert.Equal(fleet.Vms, read.Vms);
    }

    [Theory]
    [InlineData("{", "f: line 1, column 2: not JSON")]
    [InlineData("{}", "f: the document: has no 'cluster_list'")]
    [InlineData("{\"cluster_list\":[]}", "f: cluster_list: no host in it")]
    [InlineData("{\"cluster_list\":[{\"host_info\":[{\"node_id\":7}]}]}", "f: cluster_list[0].host_info[0].node_id: not a text")]
    [InlineData("{\"cluster_list\":[{\"host_info\":[{\"node_id\":\"a\",\"numa\":[{\"node\":0,\"total_cpu\":8,\"memory_huge_total_mb\":8,\"free_cpu\":9,\"memory_huge_free_mb\":0}]}]}]}",
        "f: cluster_list[0].host_info[0].numa[0].free_cpu: 9 is more than 8")]
    [InlineData("{\"cluster_list\":[{\"host_info\":[{\"node_id\":\"a\",\"numa\":[{\"node\":0,\"total_cpu\":8.5,\"memory_huge_total_mb\":8,\"free_cpu\":9,\"memory_huge_free_mb\":0}]}]}]}",
        "f: cluster_list[0].host_info[0].numa[0].total_cpu: not a whole number")]
    public void Says_where_a_document_is_wrong(string json, string message) =>
        Assert.StartsWith(message, Assert.Throws<InvalidDataException>(() => Read(json)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("\"host_id\":\"pm-0\"", "\"host_id\":\"pm-9\"", "host 'pm-9' of machine 'vm-0' is not in host_info before it")]
    [InlineData("\"instance_id\":\"vm-1\"", "\"instance_id\":\"vm-0\"", "machine 'vm-0' occurs twice")]
    [InlineData("\"node_id\":\"pm-1\"", "\"node_id\":\"pm-0\"", "host 'pm-0' occurs twice")]
    public void Says_what_contradicts_itself(string from, string to, string message)
    {
        string json = SmallVmFleet.ToJson(SmallVmFleet.Draw(3, 2));
        int at = json.IndexOf(from, StringComparison.Ordinal);
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => Read(json[..at] + to + json[(at + from.Length)..])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Machines_that_take_more_than_their_host_has_are_refused()
    {
        VmFleet fleet = SmallVmFleet.Draw(3, 2);
        VmFleet wrong = fleet with { Hosts = [fleet.Hosts[0] with { First = fleet.Hosts[0].First with { FreeCores = 44 } }, fleet.Hosts[1]] };
        Assert.Contains("NUMA node 0 of host 'pm-0'", Assert.Throws<InvalidDataException>(() => Read(SmallVmFleet.ToJson(wrong))).Message, StringComparison.Ordinal);
    }

    private static VmFleet Read(string json) => ByteDanceFormat.Read(new MemoryStream(Encoding.UTF8.GetBytes(json)), "f");
}
