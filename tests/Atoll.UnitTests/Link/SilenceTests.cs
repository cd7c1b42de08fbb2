using Atoll.Link;

namespace Atoll.UnitTests.Link;

public sealed class SilenceTests
{
    [Fact]
    public void A_silent_line_is_given_up_sooner_when_nothing_on_it_is_acknowledged()
    {
        foreach ((bool unacknowledged, long expected) in ((bool, long)[])[(true, 7_500), (false, 13_500)])
        {
            var session = new ParentSession(new LinkOptions { DeadUnacknowledgedMs = 7_500 }, new Nothing(), new Random(1));
            session.Step(new LinkInput.Connected(), 0);
            // A question of the other side is heard, and what it hears then is not.
            session.Step(new LinkInput.Frame(new[] { (byte)FrameType.Ping }), 6_000);
            long now = 6_000;
            while (session.State != LinkState.Closed)
                session.Step(new LinkInput.Tick(unacknowledged), now = session.NextTick);
            Assert.Equal((LinkError.Silent, expected), (session.Error, now - 6_000));
        }
    }

    private sealed class Nothing : IScopeItems
    {
        public LinkItem? Read(string uid) => null;
    }
}
