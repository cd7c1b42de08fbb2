using Atoll.Api.Core;
using Atoll.Orchestration.Defragmentation;

namespace Atoll.UnitTests.Orchestration;

public sealed class PlanTimesTests
{
    private static readonly DateTimeOffset s_friday = new(2026, 1, 2, 23, 30, 0, TimeSpan.Zero); // A Friday.

    [Theory]
    [InlineData("22:00", "04:00", "", 0)]
    [InlineData("22:00", "04:00", "Thu", 8550)] // Thursday's window ended; the next is in six days less an hour and a half.
    [InlineData("23:31", "23:32", "", 1)]
    [InlineData("23:00", "23:30", "", 1410)]
    [InlineData("01:00", "02:00", "Sun", 1530)]
    [InlineData("00:00", "00:00", "", 0)] // All day.
    public void Windows(string start, string end, string day, int minutes) =>
        Assert.Equal(minutes, (int)PlanTimes.UntilOpen([new DefragmentationWindow { Start = start, End = end, Days = day.Length == 0 ? null : [day] }], s_friday).TotalMinutes);

    [Fact]
    public void The_earliest_window_counts_and_none_is_always_open()
    {
        Assert.Equal(TimeSpan.Zero, PlanTimes.UntilOpen(null, s_friday));
        Assert.Equal(10, PlanTimes.UntilOpen([new DefragmentationWindow { Start = "10:00", End = "11:00" }, new DefragmentationWindow { Start = "23:40", End = "23:50" }], s_friday).TotalMinutes);
    }

    [Fact]
    public void A_sites_line_is_taken_by_one_move_after_another()
    {
        DefragmentationMove Move(string site, long bytes, int before) => new() { ToSite = site, Bytes = bytes, StartedAt = s_friday.AddSeconds(-before) };
        List<DefragmentationMove> moves = [Move("s", 100, 5), Move("s", 100, 4), Move("other", 9_000, 1), new DefragmentationMove { ToSite = "s", Bytes = 10 }];
        Assert.Equal(15, PlanTimes.UntilFree(moves, "s", "10", s_friday).TotalSeconds);
        Assert.Equal(0, PlanTimes.UntilFree(moves, "s", "1000", s_friday).TotalSeconds);
        Assert.Equal(0, PlanTimes.UntilFree(moves, "third", "10", s_friday).TotalSeconds);
        Assert.Equal(0, PlanTimes.UntilFree(moves, "s", null, s_friday).TotalSeconds);
    }

    [Fact]
    public void A_line_that_is_far_too_narrow_is_taken_for_long_and_no_error()
    {
        var move = new DefragmentationMove { ToSite = "s", Bytes = long.MaxValue, StartedAt = s_friday };
        Assert.InRange(PlanTimes.UntilFree([move, move], "s", "1", s_friday), TimeSpan.FromDays(100), TimeSpan.FromDays(1000));
    }
}
