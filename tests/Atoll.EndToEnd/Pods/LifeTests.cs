using System.Diagnostics;
using Atoll.Api.Core;
using Atoll.Api.Streams;

namespace Atoll.EndToEnd.Pods;

/// <summary>Order, ends, restarts, probes and hooks with real processes.</summary>
[Collection("pods")]
public sealed class LifeTests(PodNode node)
{
    private static ContainerStatus StateOf(Pod pod) => pod.Status?.ContainerStatuses?[0] ?? new ContainerStatus { Name = "" };

    [Fact]
    public async Task Init_containers_run_in_order_sidecars_beside_and_a_failure_stops_the_pod()
    {
        const string Mount = """ "volumeMounts":[{"name":"v","mountPath":"/v"}] """;
        await node.PodAsync("order", PodNode.Json($$$"""
            {"restartPolicy":"Never","volumes":[{"name":"v","emptyDir":{}}],
             "initContainers":[{"name":"i1","command":["sh","-c","echo i1 >> /v/log"],{{{Mount}}}},
               {"name":"side","restartPolicy":"Always","command":["sh","-c","trap 'echo side-stopped >> /v/log; exit 0' TERM; echo side >> /v/log; touch /v/up; while true; do sleep 0.1; done"],{{{Mount}}},"startupProbe":{"exec":{"command":["sh","-c","test -e /v/up"]},"periodSeconds":1}},
               {"name":"i2","command":["sh","-c","echo i2 >> /v/log"],{{{Mount}}}}],
             "containers":[{"name":"main","command":["sh","-c","echo main >> /v/log; cat /v/log"],{{{Mount}}}}]}
            """));
        await node.PodAsync("init-fails", PodNode.Json("""{"restartPolicy":"Never","initContainers":[{"name":"bad","command":["sh","-c","exit 4"]}],"containers":[{"name":"main","command":["sleep","60"]}]}"""));
        Pod order = await node.PhaseAsync("order", "Succeeded");
        Assert.Equal("i1\nside\ni2\nmain\n", await node.LogAsync("order", new LogRequest { Container = "main" }));
        Assert.Equal(0, order.Status!.InitContainerStatuses!.Single(s => s.Name == "side").State!.Terminated!.ExitCode);
        Pod failed = await node.PhaseAsync("init-fails", "Failed");
        Assert.Equal(4, failed.Status!.InitContainerStatuses![0].State!.Terminated!.ExitCode);
        Assert.Equal("PodInitializing", StateOf(failed).State!.Waiting!.Reason);
        await node.DeleteAsync("order", "init-fails");
    }

    [Fact]
    public async Task Ends_restarts_messages_and_limits_are_told_as_they_were()
    {
        await node.ScriptAsync("always", "echo run; exit 3");
        await node.ScriptAsync("onfailure", "test -e /v/x && exit 0; touch /v/x; exit 1", """{"volumeMounts":[{"name":"v","mountPath":"/v"}]}""", """{"restartPolicy":"OnFailure","volumes":[{"name":"v","emptyDir":{}}]}""");
        await node.ScriptAsync("never", "echo because > /dev/termination-log; exit 7", "{}", """{"restartPolicy":"Never"}""");
        await node.ScriptAsync("fallback", "echo last words; exit 1", """{"terminationMessagePolicy":"FallbackToLogsOnError"}""", """{"restartPolicy":"Never"}""");
        await node.ScriptAsync("oom", "tail /dev/zero", """{"resources":{"limits":{"memory":"16Mi"}}}""", """{"restartPolicy":"Never"}""");
        await node.ScriptAsync("deadline", "sleep 600", "{}", """{"restartPolicy":"Never","activeDeadlineSeconds":2}""");
        await node.PodAsync("nocommand", PodNode.Json("""{"restartPolicy":"Never","containers":[{"name":"c","command":["/no/such"]}]}"""));
        await node.ScriptAsync("killed", "sleep 600", "{}", """{"restartPolicy":"Never"}""");

        Pod always = await node.UntilAsync("always", p => StateOf(p).RestartCount >= 2 && StateOf(p).State?.Waiting?.Reason == "CrashLoopBackOff", "back-off");
        Assert.Matches("^back-off \\d+s restarting failed container=c pod=always_default\\(", StateOf(always).State!.Waiting!.Message);
        Assert.Equal((3, "Error"), (StateOf(always).LastState!.Terminated!.ExitCode, StateOf(always).LastState!.Terminated!.Reason));
        Assert.Equal("run\n", await node.LogAsync("always", new LogRequest { Previous = true }));
        Pod onFailure = await node.PhaseAsync("onfailure", "Succeeded");
        Assert.Equal(1, StateOf(onFailure).RestartCount);
        Pod never = await node.PhaseAsync("never", "Failed");
        Assert.Equal((7, "because\n", 0), (StateOf(never).State!.Terminated!.ExitCode, StateOf(never).State!.Terminated!.Message, StateOf(never).RestartCount));
        Assert.Equal("last words\n", StateOf(await node.PhaseAsync("fallback", "Failed")).State!.Terminated!.Message);
        ContainerStateTerminated oom = StateOf(await node.PhaseAsync("oom", "Failed")).State!.Terminated!;
        Assert.Equal((137, "OOMKilled"), (oom.ExitCode, oom.Reason));
        Pod late = await node.PhaseAsync("deadline", "Failed");
        Assert.Equal("DeadlineExceeded", late.Status!.Reason);
        ContainerStateTerminated missing = StateOf(await node.PhaseAsync("nocommand", "Failed")).State!.Terminated!;
        Assert.Equal((128, "StartError"), (missing.ExitCode, missing.Reason));
        string victim = StateOf(await node.ReadyAsync("killed")).ContainerID!.Split("://")[1];
        Atoll.Edge.Native.Posix.Kill((await node.Runtime.GetAsync(victim, CancellationToken.None))!.Pid, Atoll.Edge.Native.Posix.SIGKILL);
        Assert.Equal(137, StateOf(await node.PhaseAsync("killed", "Failed")).State!.Terminated!.ExitCode);
        await node.DeleteAsync("always", "onfailure", "never", "fallback", "oom", "deadline", "nocommand", "killed");
    }

    [Fact]
    public async Task Probes_restart_gate_and_wait()
    {
        const string Serve = "mkdir -p /w; echo ok > /w/ok; httpd -p 8080 -h /w; nc -lk -p 9090 -e true & ";
        await node.ScriptAsync("live-exec", "touch /up; sleep 1; rm /up; sleep 600", """{"livenessProbe":{"exec":{"command":["cat","/up"]},"periodSeconds":1,"failureThreshold":1}}""", """{"terminationGracePeriodSeconds":1}""");
        await node.ScriptAsync("live-http", Serve + "sleep 2; rm /w/ok; sleep 600", """{"livenessProbe":{"httpGet":{"path":"/ok","port":8080},"periodSeconds":1,"failureThreshold":1,"initialDelaySeconds":1}}""", """{"terminationGracePeriodSeconds":1}""");
        await node.ScriptAsync("live-tcp", "httpd -f -p 8080 -h / & sleep 2; kill $!; sleep 600", """{"livenessProbe":{"tcpSocket":{"port":8080},"periodSeconds":1,"failureThreshold":1,"initialDelaySeconds":1}}""", """{"terminationGracePeriodSeconds":1}""");
        await node.ScriptAsync("gate", Serve + "sleep 600", """{"ports":[{"name":"web","containerPort":8080}],"readinessProbe":{"httpGet":{"path":"/ready","port":"web"},"periodSeconds":1}}""");
        await node.ScriptAsync("slow", "sleep 2; touch /started; sleep 600", """{"startupProbe":{"exec":{"command":["cat","/started"]},"periodSeconds":1,"failureThreshold":10},"livenessProbe":{"exec":{"command":["cat","/started"]},"periodSeconds":1,"failureThreshold":1}}""");

        await node.UntilAsync("gate", p => StateOf(p).Started == true && !StateOf(p).Ready, "started and not ready");
        Assert.Equal(0, (await node.ExecAsync("gate", "echo y > /w/ready")).Code);
        await node.ReadyAsync("gate");
        await node.ExecAsync("gate", "rm /w/ready");
        await node.UntilAsync("gate", p => !StateOf(p).Ready && StateOf(p).RestartCount == 0, "not ready again, not restarted");
        Pod slow = await node.ReadyAsync("slow");
        Assert.Equal(0, StateOf(slow).RestartCount);
        foreach (string name in (string[])["live-exec", "live-http", "live-tcp"])
        {
            await node.UntilAsync(name, p => StateOf(p).RestartCount >= 1, "a restart");
            string events = await node.EventsAsync(name);
            Assert.Contains("Unhealthy: Liveness probe failed", events);
            Assert.Contains("Killing: Container c failed liveness probe, will be restarted", events);
        }
        await node.DeleteAsync("live-exec", "live-http", "live-tcp", "gate", "slow");
    }

    [Fact]
    public async Task Hooks_and_graceful_ends_take_their_turn_and_their_time()
    {
        string host = Directory.CreateDirectory(Path.Join(node.Folder, "hooks")).FullName;
        string volumes = $$$""" "volumes":[{"name":"v","hostPath":{"path":"{{{host}}}"}}] """;
        const string Mounts = """ "volumeMounts":[{"name":"v","mountPath":"/v"}] """;
        await node.ScriptAsync("hooks", "trap 'echo term >> /v/hooks; exit 0' TERM; while true; do sleep 0.1; done", "{" + Mounts + ""","lifecycle":{"postStart":{"exec":{"command":["sh","-c","echo post >> /v/hooks"]}},"preStop":{"exec":{"command":["sh","-c","echo pre >> /v/hooks"]}}}}""", "{" + volumes + ""","terminationGracePeriodSeconds":10}""");
        await node.ScriptAsync("bad-post", "sleep 600", """{"lifecycle":{"postStart":{"exec":{"command":["false"]}}}}""", """{"terminationGracePeriodSeconds":1}""");
        await node.ScriptAsync("http-pre", "mkdir /w; echo '#!/bin/sh\necho asked > /v/http; echo; echo' > /w/x; mkdir -p /w/cgi-bin; cp /w/x /w/cgi-bin/stop; chmod 755 /w/cgi-bin/stop; httpd -p 8080 -h /w; trap 'exit 0' TERM; while true; do sleep 0.1; done", "{" + Mounts + ""","lifecycle":{"preStop":{"httpGet":{"path":"/cgi-bin/stop","port":8080}}}}""", "{" + volumes + ""","terminationGracePeriodSeconds":10}""");
        await node.ScriptAsync("sleep-pre", "trap 'date +%s > /v/slept; exit 0' TERM; while true; do sleep 0.1; done", "{" + Mounts + ""","lifecycle":{"preStop":{"sleep":{"seconds":2}}}}""", "{" + volumes + ""","terminationGracePeriodSeconds":10}""");
        await node.ScriptAsync("deaf", "trap '' TERM; while true; do sleep 0.1; done", "{}", """{"terminationGracePeriodSeconds":2}""");
        foreach (string name in (string[])["hooks", "http-pre", "sleep-pre", "deaf"])
            await node.ReadyAsync(name);
        await node.UntilAsync("bad-post", p => StateOf(p).RestartCount >= 1, "a restart for its hook");
        Assert.Contains("FailedPostStartHook", await node.EventsAsync("bad-post"));
        long begun = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var watch = Stopwatch.StartNew();
        await node.DeleteAsync("deaf");
        Assert.InRange(watch.Elapsed.TotalSeconds, 1.8, 20); // The default would be 30 s.
        await node.DeleteAsync("hooks", "http-pre", "sleep-pre", "bad-post");
        Assert.Equal("post\npre\nterm\n", await File.ReadAllTextAsync(Path.Join(host, "hooks")));
        Assert.Equal("asked\n", await File.ReadAllTextAsync(Path.Join(host, "http")));
        Assert.True(long.Parse(await File.ReadAllTextAsync(Path.Join(host, "slept"))) - begun >= 2);
    }
}
