using System.Diagnostics;
using System.Globalization;
using Atoll.Agent.Members;
using Atoll.Link.Members;

namespace Atoll.UnitTests.Agent.Members;

/// <summary>What watches a node's lease when its supervisor and its agent are both gone.</summary>
public sealed class LeaseSentryTests : IDisposable
{
    private readonly string _run = Directory.CreateTempSubdirectory("atoll-sentry-").FullName;

    private string Called => Path.Combine(_run, "called");

    public void Dispose() => Directory.Delete(_run, recursive: true);

    [Fact]
    public async Task When_the_lease_has_ended_it_has_the_containers_ended_once_and_ends_with_the_supervisor()
    {
        long end = LeaseFile.NowMs + 300;
        LeaseFile.Write(_run, new LeaseState(end, default));
        using Process sentry = LeaseSentry.Start(_run, Program(), "/state", await EndedAsync());
        end += 700;
        LeaseFile.Write(_run, new LeaseState(end, default)); // Prolonged: the former end means nothing.
        await sentry.WaitForExitAsync(TestContext.Current.CancellationToken);
        string[] called = await File.ReadAllLinesAsync(Called, TestContext.Current.CancellationToken);
        Assert.StartsWith("end-identities --state /state ", Assert.Single(called), StringComparison.Ordinal);
        Assert.True(double.Parse(called[0].Split(' ')[^1], CultureInfo.InvariantCulture) * 1000 >= end - 10, $"{called[0]}, and the lease ended at {end}");
    }

    [Fact]
    public async Task Another_supervisors_sentry_takes_its_place_and_one_whose_node_is_taken_apart_ends()
    {
        LeaseFile.Write(_run, new LeaseState(LeaseFile.NowMs + 200, default));
        using Process first = LeaseSentry.Start(_run, Program(), "/state", Environment.ProcessId);
        while (!File.Exists(Called))
            await Task.Delay(20, TestContext.Current.CancellationToken);
        using Process second = LeaseSentry.Start(_run, Program(), "/state", Environment.ProcessId);
        await first.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.False(second.HasExited); // Its supervisor lives.
        File.Delete(Path.Combine(_run, "identity-sentry"));
        await second.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    private string Program()
    {
        string path = Path.Combine(_run, "agent");
        File.WriteAllText(path, $"#!/bin/sh\nread up idle < /proc/uptime\necho \"$*\" \"$up\" >> {Called}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    // The number of a process that is gone.
    private static async Task<int> EndedAsync()
    {
        using Process gone = Process.Start("/bin/true");
        await gone.WaitForExitAsync(TestContext.Current.CancellationToken);
        return gone.Id;
    }
}
