using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.EndToEnd.Pods;

/// <summary>Environment, volumes and files as a container's own processes see them.</summary>
[Collection("pods")]
public sealed class ConfigTests(PodNode node)
{
    [Fact]
    public async Task Environment_comes_from_literals_maps_secrets_fields_and_resources()
    {
        await node.CreateAsync(Kinds.ConfigMap, PodNode.Json("""{"metadata":{"name":"env-map"},"data":{"one":"1","two":"2"}}"""));
        await node.CreateAsync(Kinds.Secret, PodNode.Json("""{"metadata":{"name":"env-secret"},"stringData":{"pass":"s3cret"}}"""));
        string log = await node.RunAsync("env", "env; echo args $0", """
            {"env":[
              {"name":"A","value":"a"},{"name":"B","value":"<$(A)> $$(A) $(NONE)"},
              {"name":"MAP","valueFrom":{"configMapKeyRef":{"name":"env-map","key":"one"}}},
              {"name":"ABSENT","valueFrom":{"configMapKeyRef":{"name":"no-map","key":"one","optional":true}}},
              {"name":"PASS","valueFrom":{"secretKeyRef":{"name":"env-secret","key":"pass"}}},
              {"name":"POD","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},
              {"name":"LABEL","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['app']"}}},
              {"name":"NODE","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}},
              {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
              {"name":"CPU","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}},
              {"name":"MEM","valueFrom":{"resourceFieldRef":{"resource":"limits.memory","divisor":"1Mi"}}}],
             "envFrom":[{"prefix":"P_","configMapRef":{"name":"env-map"}},{"secretRef":{"name":"env-secret"}}],
             "resources":{"limits":{"cpu":"250m","memory":"64Mi"}}}
            """, metadata: PodNode.Json("""{"labels":{"app":"shop"}}"""));
        Pod pod = await node.PhaseAsync("env", "Succeeded");
        string[] lines = log.Split('\n');
        foreach (string expected in (string[])["A=a", "B=<a> $(A) $(NONE)", "MAP=1", "PASS=s3cret", "POD=env", "LABEL=shop", "NODE=" + node.Name, "IP=" + pod.Status!.PodIP, "CPU=250", "MEM=64", "P_one=1", "P_two=2", "pass=s3cret", "HOSTNAME=env"])
            Assert.Contains(expected, lines);
        Assert.DoesNotContain(lines, l => l.StartsWith("ABSENT", StringComparison.Ordinal));
        await node.ScriptAsync("env-waits", "echo $LATE; sleep 60", """{"env":[{"name":"LATE","valueFrom":{"configMapKeyRef":{"name":"late-map","key":"k"}}}]}""");
        await node.UntilAsync("env-waits", p => p.Status?.ContainerStatuses?[0].State?.Waiting?.Reason == "CreateContainerConfigError", "its reason to wait");
        await node.CreateAsync(Kinds.ConfigMap, PodNode.Json("""{"metadata":{"name":"late-map"},"data":{"k":"came"}}"""));
        await node.ReadyAsync("env-waits");
        await PodNode.UntilAsync(async () => await node.LogAsync("env-waits") == "came\n", "the late value");
        await node.DeleteAsync("env", "env-waits");
    }

    [Fact]
    public async Task Volumes_hold_what_they_should_and_follow_their_sources()
    {
        await node.CreateAsync(Kinds.ConfigMap, PodNode.Json("""{"metadata":{"name":"vol-map"},"data":{"a":"first","b":"other"},"binaryData":{"bin":"AAEC"}}"""));
        await node.CreateAsync(Kinds.Secret, PodNode.Json("""{"metadata":{"name":"vol-secret"},"stringData":{"key":"hush"}}"""));
        string host = Directory.CreateDirectory(Path.Join(node.Folder, "host")).FullName;
        await File.WriteAllTextAsync(Path.Join(host, "file"), "from host");
        await node.ScriptAsync("vol", "sleep 600", """
            {"resources":{"limits":{"memory":"64Mi"}},"volumeMounts":[
              {"name":"disk","mountPath":"/disk"},{"name":"mem","mountPath":"/mem"},{"name":"map","mountPath":"/map"},{"name":"items","mountPath":"/items"},
              {"name":"secret","mountPath":"/secret"},{"name":"down","mountPath":"/down"},{"name":"all","mountPath":"/all"},{"name":"host","mountPath":"/host"},
              {"name":"hostfile","mountPath":"/hostfile","readOnly":true},{"name":"made","mountPath":"/made"},{"name":"disk","mountPath":"/sub","subPath":"deep/er"},
              {"name":"map","mountPath":"/etc/one.conf","subPath":"a"},{"name":"disk","mountPath":"/ro","readOnly":true}]}
            """, $$$"""
            {"volumes":[{"name":"disk","emptyDir":{}},{"name":"mem","emptyDir":{"medium":"Memory","sizeLimit":"2Mi"}},
              {"name":"map","configMap":{"name":"vol-map"}},{"name":"items","configMap":{"name":"vol-map","defaultMode":288,"items":[{"key":"a","path":"dir/a.txt","mode":256},{"key":"b","path":"b.txt"}]}},
              {"name":"secret","secret":{"secretName":"vol-secret","defaultMode":256}},
              {"name":"down","downwardAPI":{"items":[{"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}},{"path":"mem","resourceFieldRef":{"containerName":"c","resource":"limits.memory"}}]}},
              {"name":"all","projected":{"sources":[{"configMap":{"name":"vol-map","items":[{"key":"b","path":"cm/b"}]}},{"secret":{"name":"vol-secret"}},{"downwardAPI":{"items":[{"path":"name","fieldRef":{"fieldPath":"metadata.name"}}]}}]}},
              {"name":"host","hostPath":{"path":"{{{host}}}","type":"Directory"}},{"name":"hostfile","hostPath":{"path":"{{{host}}}/file","type":"File"}},{"name":"made","hostPath":{"path":"{{{host}}}/made/it","type":"DirectoryOrCreate"}}]}
            """, PodNode.Json("""{"labels":{"app":"v1"}}"""));
        await node.ReadyAsync("vol");
        (int code, string output, string error) = await node.ExecAsync("vol", """
            cat /map/a /map/b /items/dir/a.txt /items/b.txt /secret/key /all/cm/b /all/key /all/name /host/file /hostfile /etc/one.conf; echo
            stat -L -c '%a' /items/dir/a.txt /items/b.txt /secret/key /map/a | tr '\n' ' '; wc -c < /map/bin
            cat /down/labels; echo; cat /down/mem; echo
            echo w > /sub/f; cat /disk/deep/er/f /ro/deep/er/f; echo w > /made/f
            echo x > /ro/x && echo BAD; echo x > /map/x && echo BAD; echo x > /hostfile && echo BAD
            dd if=/dev/zero of=/mem/big bs=1M count=4 2>/dev/null && echo BAD; grep ' /mem ' /proc/mounts
            """);
        Assert.Equal(0, code);
        string[] lines = output.Split('\n');
        Assert.Equal("firstotherfirstotherhushotherhushvolfrom hostfrom hostfirst", lines[0]);
        Assert.Equal("400 440 400 644 3", lines[1]);
        Assert.Equal(["app=\"v1\"", "67108864", "w", "w"], [lines[2], lines[3], lines[4], lines[5]]);
        Assert.DoesNotContain("BAD", output);
        Assert.Contains("tmpfs", output);
        Assert.Contains("size=2048k", output);
        Assert.Contains("Read-only file system", error);
        Assert.True(File.Exists(Path.Join(host, "made/it/f")));

        await node.PatchAsync(Kinds.ConfigMap, "vol-map", """{"data":{"a":"second"}}""");
        await node.PatchAsync(Kinds.Secret, "vol-secret", """{"stringData":{"key":"newer"}}""");
        await node.PatchAsync(Kinds.Pod, "vol", """{"metadata":{"labels":{"app":"v2"}}}""");
        await PodNode.UntilAsync(async () => (await node.ExecAsync("vol", "cat /map/a /items/dir/a.txt /secret/key /all/key /down/labels /etc/one.conf")).Output == "secondsecondnewernewerapp=\"v2\"first", "new content, and the old where subPath holds it");
        await node.ScriptAsync("vol-none", "sleep 60", """{"volumeMounts":[{"name":"h","mountPath":"/h"}]}""", $$$"""{"volumes":[{"name":"h","hostPath":{"path":"{{{host}}}/file","type":"Directory"}}]}""");
        await PodNode.UntilAsync(async () => (await node.EventsAsync("vol-none")).Contains("is not a directory", StringComparison.Ordinal), "the hostPath's refusal");
        await node.DeleteAsync("vol", "vol-none");
        Assert.True(File.Exists(Path.Join(host, "file")));
    }

    [Fact]
    public async Task Names_and_resolvers_are_the_pods()
    {
        await node.ScriptAsync("names", "sleep 600", "{}", """
            {"hostname":"web","subdomain":"shop","dnsPolicy":"None","dnsConfig":{"nameservers":["192.0.2.1"],"searches":["a.example"],"options":[{"name":"ndots","value":"3"},{"name":"rotate"}]},
             "hostAliases":[{"ip":"192.0.2.9","hostnames":["db","db.local"]}]}
            """);
        Pod pod = await node.ReadyAsync("names");
        (_, string output, _) = await node.ExecAsync("names", "hostname; cat /etc/hostname /etc/resolv.conf; cat /etc/hosts");
        Assert.StartsWith("web\nweb\nsearch a.example\nnameserver 192.0.2.1\noptions ndots:3 rotate\n", output);
        Assert.Contains($"{pod.Status!.PodIP}\tweb.shop.default.svc.cluster.local\tweb\n", output);
        Assert.Contains("192.0.2.9\tdb\tdb.local\n", output);
        await node.DeleteAsync("names");
    }
}
