using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Cloud.Commands;
using Atoll.Cloud.Hub;

namespace Atoll.UnitTests.Cloud;

/// <summary>What a Site tells of its line.</summary>
public sealed class SiteViewTests
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void The_line_keeps_its_last_changes_and_counts_every_drop()
    {
        Assert.Null(LineHistory.After(null, "Pending", s_start));
        SiteLine? line = null;
        for (int i = 0; i < 100; i++)
        {
            string phase = i % 2 == 0 ? "Connected" : "Disconnected";
            line = JsonSerializer.Deserialize(JsonSerializer.Serialize(new Site { Status = new SiteStatus() }, ApiJson.Default.Site).Replace("\"status\":{}", $"\"status\":{{\"line\":{LineHistory.After(line, phase, s_start.AddHours(i))}}}", StringComparison.Ordinal), ApiJson.Default.Site)!.Status!.Line;
            Assert.Null(LineHistory.After(line, phase, s_start.AddHours(i)));
        }
        Assert.Equal((50, LineHistory.MaxChanges, false), (line!.Drops, line.Changes!.Count, line.Changes[^1].Up));
        Assert.Equal(s_start.AddHours(99), line.Changes[^1].Time);
    }

    [Fact]
    public void The_share_of_time_that_a_line_was_up()
    {
        var line = new SiteLine { Changes = [new LineChange { Time = s_start, Up = true }, new LineChange { Time = s_start.AddHours(6), Up = false }, new LineChange { Time = s_start.AddHours(9), Up = true }] };
        Assert.Equal(0.75, SiteOptions.Up(line, s_start.AddHours(12), TimeSpan.FromDays(7)), 6);
        Assert.Equal(0.5, SiteOptions.Up(line, s_start.AddHours(12), TimeSpan.FromHours(6)), 6);
        Assert.Equal(0, SiteOptions.Up(new SiteLine(), s_start, TimeSpan.FromDays(1)));
    }
}
