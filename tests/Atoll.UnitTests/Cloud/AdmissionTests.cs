using Atoll.Cloud.Server;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Cloud;

/// <summary>The door of the centre: one at a time, the newest first, and none that waited too long.</summary>
public sealed class AdmissionTests
{
    [Fact]
    public async Task Turns_are_taken_one_after_the_other_and_end_at_their_first_wait()
    {
        const int Many = 500;
        var door = new Admission(TimeProvider.System, TimeSpan.FromMinutes(5), Many);
        var line = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int inside = 0, most = 0, waiting = 0;
        var sites = new List<Task>();
        for (int i = 0; i < Many; i++)
            sites.Add(Task.Run(SiteAsync, TestContext.Current.CancellationToken));
        // Nobody's line answers, and all had their turn all the same.
        while (Volatile.Read(ref waiting) < Many)
            await Task.Delay(1, TestContext.Current.CancellationToken);
        line.SetResult();
        await Task.WhenAll(sites);
        Assert.Equal(1, most);

        async Task SiteAsync()
        {
            await door.EnterAsync();
            most = Math.Max(most, Interlocked.Increment(ref inside));
            Thread.SpinWait(200);
            Interlocked.Decrement(ref inside);
            Interlocked.Increment(ref waiting);
            await line.Task;
        }
    }

    [Fact]
    public async Task The_newest_comes_first_and_whoever_waited_too_long_or_is_one_too_many_is_turned_away()
    {
        var time = new FakeTimeProvider();
        var door = new Admission(time, TimeSpan.FromSeconds(3), most: 3);
        var called = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var go = new ManualResetEventSlim();
        var order = new List<string>();
        Task slow = EnterAsync("slow", () => { called.SetResult(); go.Wait(); });
        await called.Task;
        Task late = EnterAsync("late");
        time.Advance(TimeSpan.FromSeconds(4));
        Task early = EnterAsync("early"), newest = EnterAsync("newest");
        await Assert.ThrowsAsync<IOException>(() => EnterAsync("one too many"));
        go.Set();
        await slow;
        await Task.WhenAll(early, newest);
        await Assert.ThrowsAsync<IOException>(() => late);
        Assert.Equal(["slow", "newest", "early"], order);

        async Task EnterAsync(string name, Action? turn = null)
        {
            await door.EnterAsync();
            order.Add(name);
            turn?.Invoke();
        }
    }
}
