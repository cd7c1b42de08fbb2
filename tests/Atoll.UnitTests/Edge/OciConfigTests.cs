using System.Text.Json.Nodes;
using Atoll.Edge.Runtimes;
using Atoll.Edge.Runtimes.Containers;

namespace Atoll.Tests.Edge;

public sealed class OciConfigTests : IDisposable
{
    private const ulong AllCapabilities = (1UL << 41) - 1;
    private static readonly HostFacts Host = new(AllCapabilities, true, 20_000, [new HostDevice("/dev/fuse", false, 10, 229)]);
    private readonly string root = Directory.CreateTempSubdirectory("atoll-user-").FullName;

    public void Dispose() => Directory.Delete(root, recursive: true);

    [Fact]
    public void An_ordinary_container_is_confined()
    {
        var config = Write(Spec() with { Limits = new InstanceLimits { CpuShares = 102, CpuLimitMilli = 250, MemoryLimitBytes = 1 << 20, PidsLimit = 7, OomScoreAdj = 900 }, NetworkNamespacePath = "/run/ns" });
        Assert.Equal("""{"devices":[{"allow":false,"access":"rwm"}],"cpu":{"shares":102,"quota":25000,"period":100000},"memory":{"limit":1048576,"swap":1048576},"pids":{"limit":7}}""", config["linux"]!["resources"]!.ToJsonString());
        Assert.Equal("""[{"type":"mount"},{"type":"uts"},{"type":"pid"},{"type":"ipc"},{"type":"network","path":"/run/ns"}]""", config["linux"]!["namespaces"]!.ToJsonString());
        Assert.Equal("""{"uid":1000,"gid":1001,"additionalGids":[1001]}""", config["process"]!["user"]!.ToJsonString());
        Assert.Equal(900, (int)config["process"]!["oomScoreAdj"]!);
        Assert.Contains("/proc/kcore", config["linux"]!["maskedPaths"]!.AsArray().Select(n => (string?)n));
        Assert.Contains("\"keyctl\"", config["linux"]!["seccomp"]!.ToJsonString());
        Assert.Equal(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=h", "A=b=c"], config["process"]!["env"]!.AsArray().Select(n => (string?)n));
    }

    [Fact]
    public void A_container_gets_its_devices_processors_memory_nodes_and_huge_pages_and_no_others()
    {
        var linux = Write(Spec() with { Devices = ["/dev/fuse", "/dev/none"], Limits = new InstanceLimits { CpusetCpus = "4-7", CpusetMems = "1", HugePages = [new("2MB", 1 << 26)] } })["linux"]!;
        Assert.Equal("""{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"}],"cpu":{"cpus":"4-7","mems":"1"},"hugepageLimits":[{"pageSize":"2MB","limit":67108864}]}""", linux["resources"]!.ToJsonString());
        Assert.Equal("/dev/fuse", (string?)Assert.Single(linux["devices"]!.AsArray())!["path"]);
    }

    [Fact]
    public void A_privileged_container_has_devices_and_no_filter()
    {
        var linux = Write(Spec() with { Privileged = true })["linux"]!;
        Assert.Null(linux["seccomp"]);
        Assert.Null(linux["maskedPaths"]);
        Assert.Equal("/dev/fuse", (string?)linux["devices"]![0]!["path"]);
        Assert.True((bool)linux["resources"]!["devices"]![0]!["allow"]!);
    }

    [Fact]
    public void A_mount_of_the_pod_takes_the_place_of_a_standard_one()
    {
        var mounts = Write(Spec() with { Mounts = [new InstanceMount("/host", "/dev/shm/", true, "HostToContainer")] })["mounts"]!.AsArray();
        var shm = Assert.Single(mounts, m => ((string)m!["destination"]!).TrimEnd('/') == "/dev/shm");
        Assert.Equal("""["rbind","ro","rslave"]""", shm!["options"]!.ToJsonString());
    }

    [Fact]
    public void Capabilities_combine_as_in_Kubernetes()
    {
        Assert.Equal(["NET_BIND_SERVICE"], Capabilities.Combine(["NET_BIND_SERVICE"], ["ALL"], false, AllCapabilities).Set);
        Assert.DoesNotContain("NET_RAW", Capabilities.Combine([], ["CAP_NET_RAW"], false, AllCapabilities).Set);
        Assert.Equal(41, Capabilities.Combine(["ALL"], [], false, AllCapabilities).Set.Count);
        Assert.Equal(14, Capabilities.Combine([], [], false, AllCapabilities).Set.Count);
        Assert.DoesNotContain("SYS_RESOURCE", Capabilities.Combine([], [], true, AllCapabilities & ~(1UL << 24)).Set);
        Assert.NotNull(Capabilities.Combine(["FLYING"], [], false, AllCapabilities).Error);
    }

    [Theory]
    [InlineData("", 0, 0, "0,10")]
    [InlineData("web", 1000, 1001, "1001,2000")]
    [InlineData("web:logs", 1000, 2000, "2000")]
    [InlineData("1000", 1000, 1001, "1001,2000")]
    [InlineData("77", 77, 0, "0")]
    [InlineData("77:88", 77, 88, "88")]
    public void Users_are_looked_up_in_the_image(string user, long uid, long gid, string groups)
    {
        WriteUsers();
        var (found, error) = ContainerUser.Find(root, user, null, []);
        Assert.Null(error);
        Assert.Equal((uid, gid, groups), (found!.Uid, found.Gid, string.Join(',', found.Groups)));
    }

    [Fact]
    public void A_link_in_the_image_never_leads_to_the_hosts_users()
    {
        Directory.CreateSymbolicLink(Path.Join(root, "etc"), "/etc");
        Assert.Contains("unable to find user root", ContainerUser.Find(root, "root", null, []).Error);
        Assert.Equal(0, ContainerUser.Find(root, "", null, []).User!.Uid);
    }

    private void WriteUsers()
    {
        Directory.CreateDirectory(Path.Join(root, "usr/etc"));
        Directory.CreateSymbolicLink(Path.Join(root, "etc"), "/usr/etc");
        File.WriteAllText(Path.Join(root, "usr/etc/passwd"), "root:x:0:0::/:\nweb:x:1000:1001::/:\n");
        File.WriteAllText(Path.Join(root, "usr/etc/group"), "root:x:0:\nwheel:x:10:root\nweb:x:1001:\nlogs:x:2000:web\n");
    }

    [Theory]
    [InlineData(true, false, true)]
    [InlineData(true, true, false)]
    [InlineData(false, false, false)]
    public void Where_there_is_one_tree_of_cgroups_a_container_sees_its_own(bool oneTree, bool privileged, bool own) =>
        Assert.Equal(own, Write(Spec() with { Privileged = privileged }, Host with { HasOneCgroupTree = oneTree })["linux"]!["namespaces"]!.AsArray().Any(n => (string?)n!["type"] == "cgroup"));

    private static JsonNode Write(InstanceSpec spec, HostFacts? host = null) =>
        JsonNode.Parse(OciConfig.Write(spec, "/root", "/atoll-n/x", new ContainerUser(1000, 1001, [1001]), Capabilities.Combine([], [], spec.Privileged, AllCapabilities).Set, host ?? Host))!;

    private static InstanceSpec Spec() => new()
    {
        Id = "x", Labels = new Dictionary<string, string>(), ImageDigest = "", Args = ["a"], Environment = [new("A", "b=c")], WorkingDirectory = "/", Hostname = "h", CgroupParent = "", Limits = new InstanceLimits(), LogPath = "/log",
    };
}
