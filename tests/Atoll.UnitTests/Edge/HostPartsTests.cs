using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Edge.Devices;
using Atoll.Edge.Instances;
using Atoll.Edge.Nodes;
using Atoll.Edge.Runtimes;

namespace Atoll.UnitTests.Edge;

/// <summary>What a node tells of itself, and what its containers get of it.</summary>
public sealed class HostPartsTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("atoll-parts-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("lm cx8 cmov fxsr mmx sse sse2", "x86-64-v1")]
    [InlineData("lm cx8 cmov fxsr mmx sse sse2 cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 avx avx2", "x86-64-v2")]
    [InlineData("lm cx8 cmov fxsr mmx sse sse2 cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe xsave", "x86-64-v3")]
    [InlineData("lm cx8 cmov fxsr mmx sse sse2 cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe xsave avx512f avx512bw avx512cd avx512dq avx512vl", "x86-64-v4")]
    [InlineData("fp asimd evtstrm aes pmull sha1 sha2 crc32", "armv8.0")]
    [InlineData("fp asimd crc32 atomics asimdrdm dcpop fphp asimdhp", "armv8.2")]
    [InlineData("fp asimd crc32 atomics asimdrdm dcpop jscvt fcma lrcpc dit uscat ilrcpc flagm sve2", "armv9.0")]
    public void Flags_give_the_highest_level_that_they_suffice_for(string flags, string level)
    {
        IReadOnlyList<string> levels = HostParts.Levels(flags.Split(' ').ToHashSet());
        Assert.Equal(level, levels[^1]);
        Assert.Equal(levels.Select(l => Flavours.CpuLevelPrefix + l), HostParts.Labels(level));
    }

    [Fact]
    public void Processor_and_NUMA_nodes_are_read_and_shared_out()
    {
        Write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast(R) 9000 @ 2.7GHz\nflags\t\t: lm cx8 cmov fxsr mmx sse sse2\n\nprocessor\t: 1\nmodel name\t: other\n");
        Write("sys/devices/system/node/node0/cpulist", "0-3,8-11\n");
        Write("sys/devices/system/node/node0/meminfo", "Node 0 MemTotal:       16777216 kB\nNode 0 MemFree: 1 kB\n");
        Write("sys/devices/system/node/node1/cpulist", "4-7,12-15\n");
        Write("sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:       8388608 kB\n");
        Write("sys/devices/system/node/possible", "0-1\n");
        NodeEdge parts = HostParts.Read(_root, 0.5);
        Assert.Equal(("Fast(R) 9000 @ 2.7GHz", "x86-64-v1"), (parts.CpuModel, parts.CpuLevel));
        Assert.Equal(["0 0-3,8-11 4 8388608Ki", "1 4-7,12-15 4 4194304Ki"], parts.Numa!.Select(n => $"{n.Id} {n.Cpus} {n.Cpu} {n.Memory}"));
        Directory.Delete(Path.Join(_root, "sys"), recursive: true);
        Write("proc/meminfo", "MemTotal:        4194304 kB\n");
        Assert.Equal(["0 0-1 2 4194304Ki"], HostParts.Read(_root, 1).Numa!.Select(n => $"{n.Id} {n.Cpus} {n.Cpu} {n.Memory}"));
    }

    [Theory]
    [InlineData("[]", "an object with a list")]
    [InlineData("""{"devices":[{"id":"a"}]}""", "devices[0].resource")]
    [InlineData("""{"devices":[{"resource":"gpu","id":"a"}]}""", "no extended resource")]
    [InlineData("""{"devices":[{"resource":"a.b/c","id":"x y"}]}""", "devices[0].id")]
    [InlineData("""{"devices":[{"resource":"a.b/c","id":"x"},{"resource":"a.b/c","id":"x"}]}""", "twice")]
    [InlineData("""{"devices":[{"resource":"a.b/c","id":"x","attributes":{"memory":"much"}}]}""", "no amount")]
    [InlineData("""{"devices":[{"resource":"a.b/c","id":"x","shareEnvironment":{"A":"1"}}]}""", "shareEnvironment.A")]
    [InlineData("""{"devices":[{"resource":"edge.atoll.dev/gpu","id":"x","shareEnvironment":{"A":"$(cores)"}}]}""", "shareEnvironment.A")]
    public void A_wrong_declaration_is_named(string json, string words) =>
        Assert.Contains(words, Assert.Throws<InvalidDataException>(() => DeclaredDevices.Parse(JsonNode.Parse(json), "f")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("255", "8Gi", "25", "0=8192M")]
    [InlineData("5", null, "1", null)]
    [InlineData(null, "1500Mi", null, "0=1500M")]
    public void A_share_of_a_GPU_is_told_to_what_enforces_it(string? milli, string? memory, string? percent, string? limit)
    {
        IReadOnlyList<DeclaredDevice> devices = DeclaredDevices.Parse(JsonNode.Parse("""
            {"devices":[{"resource":"edge.atoll.dev/gpu","id":"g0","attributes":{"memory":"16Gi"},"paths":["/dev/null"],"environment":{"VISIBLE":"0"},
              "shareEnvironment":{"PERCENT":"$(percent)","LIMIT":"0=$(memoryMi)M"}},
             {"resource":"edge.atoll.dev/gpu","id":"g1","paths":["/dev/zero"],"environment":{"VISIBLE":"1"}}]}
            """), "f");
        var requests = new Dictionary<string, string>();
        if (milli is not null)
            requests[WellKnown.GpuMilli] = milli;
        if (memory is not null)
            requests[WellKnown.GpuMemory] = memory;
        var pod = new Pod { Spec = new PodSpec { Containers = [new Container { Name = "c", Resources = new ResourceRequirements { Requests = requests } }, new Container { Name = "whole", Resources = new ResourceRequirements { Requests = new() { [WellKnown.Gpu] = "1" } } }] } };
        pod.Metadata.Annotations = new() { [Allocation.Annotation] = new Allocation { Devices = new() { [WellKnown.Gpu] = ["g0"] } }.ToString() };
        (IReadOnlyList<string> paths, IReadOnlyDictionary<string, string> env) = GivenParts.Devices(pod, pod.Spec.Containers[0], devices);
        // Of the one GPU alone, and of the share as it was asked for.
        Assert.Equal(["/dev/null"], paths);
        Assert.Equal(("0", percent, limit), (env["VISIBLE"], env.GetValueOrDefault("PERCENT"), env.GetValueOrDefault("LIMIT")));
        Assert.DoesNotContain("PERCENT", GivenParts.Devices(pod, pod.Spec.Containers[1], devices).Environment.Keys);
    }

    [Fact]
    public void A_container_gets_the_devices_NUMA_nodes_and_cores_that_its_pod_was_given()
    {
        IReadOnlyList<DeclaredDevice> devices = DeclaredDevices.Parse(JsonNode.Parse("""
            {"devices":[{"resource":"edge.atoll.dev/gpu","id":"g0","attributes":{"memory":"16Gi"},"paths":["/dev/null"],"environment":{"VISIBLE":"0"}},
             {"resource":"edge.atoll.dev/gpu","id":"g1","attributes":{"memory":"8Gi"},"paths":["/dev/zero"],"environment":{"VISIBLE":"1"}}]}
            """), "f");
        Dictionary<string, Quantity> amounts = DeclaredDevices.Amounts(devices);
        Assert.Equal((2, 2000, 24L << 30), (amounts[WellKnown.Gpu].Value, amounts[WellKnown.GpuMilli].Value, amounts[WellKnown.GpuMemory].Value));
        var edge = new NodeEdge { Numa = [new NumaNode { Id = 0, Cpus = "0-3" }, new NumaNode { Id = 1, Cpus = "4-7" }] };
        var user = new Container { Name = "c", Resources = new ResourceRequirements { Requests = new() { [WellKnown.Gpu] = "2", [WellKnown.Compute] = "3" }, Limits = new() { [WellKnown.Compute] = "3", ["hugepages-2Mi"] = "64Mi" } } };
        var beside = new Container { Name = "d", Resources = new ResourceRequirements { Requests = new() { [WellKnown.Compute] = "1" } } };
        var pod = new Pod { Spec = new PodSpec { Containers = [user, beside] } };
        pod.Metadata.Annotations = new() { [Allocation.Annotation] = new Allocation { Numa = [1], CpuMilli = 2000, Devices = new() { [WellKnown.Gpu] = ["g1", "g0"] } }.ToString() };
        (IReadOnlyList<string> paths, IReadOnlyDictionary<string, string> env) = GivenParts.Devices(pod, user, devices);
        Assert.Equal(["/dev/zero", "/dev/null"], paths);
        Assert.Equal(("1,0", "g1,g0"), (env["VISIBLE"], env["EDGE_ATOLL_DEV_GPU"]));
        Assert.Empty(GivenParts.Devices(pod, beside, devices).Paths);
        InstanceLimits limits = GivenParts.Limits(pod, user, new InstanceLimits(), edge);
        Assert.Equal((1536L, 1500L, "4-7", "1", "2MB"), (limits.CpuShares, limits.CpuLimitMilli, limits.CpusetCpus, limits.CpusetMems, Assert.Single(limits.HugePages).Key));
        Assert.Equal(2000, GivenParts.Cores(pod).Milli);
        pod.Metadata.Annotations[Allocation.Annotation] = new Allocation { Devices = new() { [WellKnown.Gpu] = ["g7"] } }.ToString();
        Assert.Contains("g7, which is not on this node", Assert.Throws<UnresolvedException>(() => GivenParts.Devices(pod, user, devices)).Message, StringComparison.Ordinal);
    }

    private void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Join(_root, path))!);
        File.WriteAllText(Path.Join(_root, path), text);
    }
}
