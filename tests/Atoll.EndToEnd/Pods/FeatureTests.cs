using System.Formats.Tar;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Tests.Edge;

namespace Atoll.EndToEnd.Pods;

/// <summary>What a pod may ask for and the other tests do not, many at once.</summary>
[Collection("pods")]
public sealed class FeatureTests(PodNode node)
{
    private static ContainerStatus StateOf(Pod pod) => pod.Status?.ContainerStatuses?[0] ?? new ContainerStatus { Name = "" };

    [Fact]
    public async Task A_pod_gets_its_fields_paths_and_settings()
    {
        await node.CreateAsync(Kinds.ConfigMap, PodNode.Json("""{"metadata":{"name":"many-map"},"data":{"k":"v"}}"""));
        string log = await node.RunAsync("many", """
            echo $UID_ $SA $HOST $NS $ANN $CPUREQ $WORDS; pwd; echo here > f; cat /all/many/f
            cat /down/annotations /down/cpu; echo; cat /proj/sub/k; echo; cat /proc/sys/net/ipv4/ip_unprivileged_port_start
            grep Seccomp: /proc/self/status; [ $NODEMEM -gt 67108864 ] && echo node memory; echo bye > /tmp/said; exit 3
            """, """
            {"workingDir":"/work","terminationMessagePath":"/tmp/said","resources":{"requests":{"cpu":"120m"}},
             "env":[{"name":"UID_","valueFrom":{"fieldRef":{"fieldPath":"metadata.uid"}}},{"name":"SA","valueFrom":{"fieldRef":{"fieldPath":"spec.serviceAccountName"}}},
               {"name":"HOST","valueFrom":{"fieldRef":{"fieldPath":"status.hostIP"}}},{"name":"NS","valueFrom":{"fieldRef":{"fieldPath":"metadata.namespace"}}},
               {"name":"ANN","valueFrom":{"fieldRef":{"fieldPath":"metadata.annotations['note']"}}},{"name":"NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},
               {"name":"CPUREQ","valueFrom":{"resourceFieldRef":{"resource":"requests.cpu","divisor":"1m"}}},{"name":"NODEMEM","valueFrom":{"resourceFieldRef":{"resource":"limits.memory"}}},
               {"name":"WORDS","value":"$(SA)-$(NS)"}],
             "volumeMounts":[{"name":"e","mountPath":"/work","subPathExpr":"$(NAME)"},{"name":"e","mountPath":"/all"},{"name":"d","mountPath":"/down"},{"name":"p","mountPath":"/proj"}]}
            """, """
            {"serviceAccountName":"default","securityContext":{"sysctls":[{"name":"net.ipv4.ip_unprivileged_port_start","value":"1"}]},
             "volumes":[{"name":"e","emptyDir":{}},{"name":"d","downwardAPI":{"items":[{"path":"annotations","fieldRef":{"fieldPath":"metadata.annotations"}},{"path":"cpu","resourceFieldRef":{"containerName":"c","resource":"requests.cpu","divisor":"1m"}}]}},
               {"name":"p","projected":{"defaultMode":256,"sources":[{"configMap":{"name":"many-map","items":[{"key":"k","path":"sub/k"}]}},{"secret":{"name":"no-such","optional":true}}]}}]}
            """, PodNode.Json("""{"annotations":{"note":"a\"b"}}"""));
        Pod pod = await node.PhaseAsync("many", "Failed");
        Assert.Equal($"{pod.Metadata.Uid} default {pod.Status!.HostIP} default a\"b 120 default-default", log.Split('\n')[0]);
        Assert.Equal("/work\nhere\nnote=\"a\\\"b\"120\nv\n1\nSeccomp:\t2\nnode memory\n", log[(log.IndexOf('\n', StringComparison.Ordinal) + 1)..]);
        Assert.Equal((3, "bye\n"), (StateOf(pod).State!.Terminated!.ExitCode, StateOf(pod).State!.Terminated!.Message));
        await node.DeleteAsync("many");
    }

    [Fact]
    public async Task Host_namespaces_and_privileges_are_given_where_they_are_asked_for()
    {
        const string Own = "readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; readlink /proc/self/ns/net; grep Seccomp: /proc/self/status";
        string[] host = [.. ((string[])["pid", "ipc", "net"]).Select(kind => File.ResolveLinkTarget($"/proc/self/ns/{kind}", false) is { } link ? Path.GetFileName(link.FullName) : "")];
        string[] shared = (await node.RunAsync("host-all", Own, """{"securityContext":{"privileged":true}}""", """{"hostPID":true,"hostIPC":true,"hostNetwork":true}""")).Split('\n');
        Assert.True(shared.Length > 1, await node.EventsAsync("host-all"));
        Assert.Equal([.. host, "Seccomp:\t0", ""], shared);
        string[] apart = (await node.RunAsync("host-none", Own, """{"securityContext":{"seccompProfile":{"type":"Unconfined"}}}""")).Split('\n');
        foreach ((string theirs, string ours) in host.Zip(apart)) Assert.NotEqual(theirs, ours);
        Assert.Equal("Seccomp:\t0", apart[3]);
        Assert.Equal("ok\n", await node.RunAsync("host-mount", "mount -t tmpfs none /tmp && test -e /dev/kmsg && echo ok", """{"securityContext":{"privileged":true}}"""));
        await node.ScriptAsync("host-file", "true", """{"securityContext":{"seccompProfile":{"type":"Localhost","localhostProfile":"x.json"}}}""");
        Pod refused = await node.PhaseAsync("host-file", "Failed");
        Assert.Equal("UnsupportedField", refused.Status!.Reason);
        await node.DeleteAsync("host-all", "host-none", "host-mount", "host-file");
    }

    [Fact]
    public async Task Startup_probes_sidecars_and_hooks_over_http_do_what_they_are_for()
    {
        await node.ScriptAsync("never-up", "sleep 600", """{"startupProbe":{"exec":{"command":["sh","-c","echo not yet; false"]},"periodSeconds":1,"failureThreshold":2},"livenessProbe":{"exec":{"command":["false"]},"periodSeconds":1,"failureThreshold":1}}""", """{"terminationGracePeriodSeconds":1}""");
        await node.PodAsync("sidecar", PodNode.Json("""
            {"initContainers":[{"name":"side","restartPolicy":"Always","command":["sh","-c","test -e /v/again && sleep 600; touch /v/again; exit 1"],"volumeMounts":[{"name":"v","mountPath":"/v"}],"readinessProbe":{"exec":{"command":["sh","-c","test -e /v/ready"]},"periodSeconds":1}}],
             "containers":[{"name":"main","command":["sleep","600"],"volumeMounts":[{"name":"v","mountPath":"/v"}]}],"volumes":[{"name":"v","emptyDir":{}}]}
            """));
        await node.ScriptAsync("hooked", "mkdir -p /w/cgi-bin; printf '#!/bin/sh\\necho $HTTP_X_FROM > /w/hit; echo; echo' > /w/cgi-bin/hit; chmod 755 /w/cgi-bin/hit; httpd -f -p 8080 -h /w", """{"readinessProbe":{"tcpSocket":{"port":8080},"periodSeconds":1}}""");
        Pod server = await node.ReadyAsync("hooked");
        await node.ScriptAsync("hooking", "sleep 600", $$$"""{"lifecycle":{"postStart":{"httpGet":{"host":"{{{server.Status!.PodIP}}}","port":8080,"path":"/cgi-bin/hit","httpHeaders":[{"name":"X-From","value":"hook"}]} } } }""");
        await node.ReadyAsync("hooking");
        Assert.Equal("hook\n", (await node.ExecAsync("hooked", "cat /w/hit")).Output);

        Pod side = await node.UntilAsync("sidecar", p => p.Status?.InitContainerStatuses?[0] is { RestartCount: 1, Started: true } && StateOf(p).Started == true, "its sidecar back");
        Assert.Equal("False", side.Status!.Condition("Ready")!.Status); // A sidecar that is not ready keeps the pod out.
        Assert.Equal(0, (await node.ExecAsync("sidecar", "touch /v/ready", container: "main")).Code);
        Assert.Equal(0, StateOf(await node.ReadyAsync("sidecar")).RestartCount);

        await node.UntilAsync("never-up", p => StateOf(p).RestartCount >= 1, "a restart");
        string events = await node.EventsAsync("never-up");
        Assert.Contains("Unhealthy: Startup probe failed: not yet", events);
        Assert.Contains("Killing: Container c failed startup probe, will be restarted", events);
        Assert.DoesNotContain("Liveness probe failed", events);
        await node.DeleteAsync("never-up", "sidecar", "hooked", "hooking");
    }

    [Fact]
    public async Task Images_are_pulled_by_policy_and_unused_ones_go_when_they_are_too_many()
    {
        Assert.NotNull(node.Api); // The same collection: two nodes at once would only make each slower.
        await using var small = new PodNode { ImageLimitBytes = 6 << 20 };
        await small.InitializeAsync();
        var noise = new byte[9 << 20];
        new Random(3).NextBytes(noise);
        TestImage.Build("""{"Cmd":["/none"]}""", TestImage.Tar(new PaxTarEntry(TarEntryType.RegularFile, "noise") { DataStream = new MemoryStream(noise) })).WriteLayout(Path.Join(small.Folder, "noise"), "latest");
        string image = $"oci:{small.Folder}/noise:latest";
        await small.PodAsync("absent", PodNode.Json($$"""{"containers":[{"name":"c","image":"{{image}}","imagePullPolicy":"Never"}]}"""));
        await small.UntilAsync("absent", p => StateOf(p).State?.Waiting?.Reason == "ErrImageNeverPull", "a refusal");
        await small.PodAsync("typo", PodNode.Json($$"""{"containers":[{"name":"c","image":"oci:{{small.Folder}}/nothing:latest"}]}"""));
        await small.UntilAsync("typo", p => StateOf(p).State?.Waiting?.Reason is "ErrImagePull" or "ImagePullBackOff", "a failed pull");
        await small.ScriptAsync("user", "sleep 600");
        await small.ReadyAsync("user");
        await small.PodAsync("big", PodNode.Json($$"""{"restartPolicy":"Never","containers":[{"name":"c","image":"{{image}}"}]}"""));
        Pod big = await small.PhaseAsync("big", "Failed");
        Assert.Equal("StartError", StateOf(big).State!.Terminated!.Reason);
        await small.DeleteAsync("absent", "typo", "big");
        // The one that is in use stays, whatever the limit.
        await PodNode.UntilAsync(async () => await small.Images.SizeAsync(CancellationToken.None) < 9 << 20, "room");
        Assert.Equal(0, (await small.ExecAsync("user", "true")).Code);
        await small.ScriptAsync("again", "sleep 600");
        await small.ReadyAsync("again");
    }
}
