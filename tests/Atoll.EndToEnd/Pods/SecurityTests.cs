using Atoll.Api.Core;

namespace Atoll.EndToEnd.Pods;

/// <summary>Who a container runs as, what it may do, and what the kernel holds it to.</summary>
[Collection("pods")]
public sealed class SecurityTests(PodNode node)
{
    [Fact]
    public async Task Users_groups_capabilities_and_roots_are_as_asked()
    {
        string id = await node.RunAsync("user", "id; touch /v/f; stat -c '%u %g' /v/f; grep NoNewPrivs /proc/self/status",
            """{"securityContext":{"runAsUser":1234,"runAsGroup":2345,"allowPrivilegeEscalation":false},"volumeMounts":[{"name":"v","mountPath":"/v"}]}""",
            """{"securityContext":{"runAsUser":1,"fsGroup":3456,"supplementalGroups":[4567],"runAsNonRoot":true},"volumes":[{"name":"v","emptyDir":{}}]}""");
        Assert.Equal("uid=1234 gid=2345 groups=2345,3456,4567\n1234 3456\nNoNewPrivs:\t1\n", id);

        string dropped = await node.RunAsync("caps", "grep CapEff /proc/self/status; touch /tmp/x && echo BAD; touch /v/x && echo written",
            """{"securityContext":{"readOnlyRootFilesystem":true,"capabilities":{"drop":["ALL"],"add":["NET_BIND_SERVICE"]}},"volumeMounts":[{"name":"v","mountPath":"/v"}]}""",
            """{"volumes":[{"name":"v","emptyDir":{}}]}""");
        Assert.Contains("CapEff:\t0000000000000400\n", dropped);
        Assert.Contains("written\n", dropped);
        Assert.DoesNotContain("BAD", dropped);

        await node.ScriptAsync("root", "sleep 60", """{"securityContext":{"runAsNonRoot":true}}""");
        Pod refused = await node.UntilAsync("root", p => p.Status?.ContainerStatuses?[0].State?.Waiting?.Reason == "CreateContainerConfigError", "a refusal");
        Assert.StartsWith("container has runAsNonRoot and image will run as root", refused.Status!.ContainerStatuses![0].State!.Waiting!.Message);
        await node.DeleteAsync("user", "caps", "root");
    }

    [Fact]
    public async Task Limits_are_in_the_kernel_and_the_host_network_is_the_hosts()
    {
        KubernetesLimits limits = await LimitsAsync();
        Assert.Equal((67108864, 0.5, 4096), (limits.Memory, limits.Cpus, limits.Pids));
        string host = await node.RunAsync("hostnet", "hostname; ip -o link", "{}", """{"hostNetwork":true}""");
        Assert.StartsWith(Environment.MachineName + "\n", host);
        Assert.Contains(node.Bridge, host);
        Pod pod = (await node.PhaseAsync("hostnet", "Succeeded"))!;
        Assert.Equal(pod.Status!.HostIP, pod.Status.PodIP);
        await node.DeleteAsync("hostnet", "limits");
    }

    private sealed record KubernetesLimits(long Memory, double Cpus, long Pids);

    /// <summary>Reads the limits of a running container where the kernel keeps them, cgroup v1 or v2.</summary>
    private async Task<KubernetesLimits> LimitsAsync()
    {
        await node.ScriptAsync("limits", "sleep 600", """{"resources":{"limits":{"cpu":"500m","memory":"64Mi"}}}""");
        Pod pod = await node.ReadyAsync("limits");
        string id = pod.Status!.ContainerStatuses![0].ContainerID!.Split("://")[1];
        int pid = (await node.Runtime.GetAsync(id, CancellationToken.None))!.Pid;
        var groups = File.ReadLines($"/proc/{pid}/cgroup").Select(l => l.Split(':', 3)).ToDictionary(p => p[1], p => p[2]);
        string Find(string controller, string v1, string v2)
        {
            string key = groups.Keys.FirstOrDefault(k => k.Split(',').Contains(controller)) ?? "";
            return key.Length > 0 ? File.ReadAllText($"/sys/fs/cgroup/{controller}{groups[key]}/{v1}").Trim() : File.ReadAllText($"/sys/fs/cgroup{groups[""]}/{v2}").Trim();
        }
        string cpu = Find("cpu", "cpu.cfs_quota_us", "cpu.max");
        double quota = double.Parse(cpu.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
        return new KubernetesLimits(long.Parse(Find("memory", "memory.limit_in_bytes", "memory.max")), quota / 100_000, long.Parse(Find("pids", "pids.max", "pids.max")));
    }
}
