using Atoll.Link.Members;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Members;

/// <summary>The shell around <see cref="PowerFence"/>: its timer, the operator's program, and the record of how that ended.</summary>
internal sealed class SiteFence(SiteLead lead, SiteCopy copy, FenceProgram? program, TimeProvider time, ILogger log)
{
    private static readonly TimeSpan s_period = TimeSpan.FromMilliseconds(250);

    private readonly PowerFence _fence = new(lead.Self.Name, (long)lead.DeadAfter.TotalMilliseconds / 2, (long)lead.DeadAfter.TotalMilliseconds);
    private volatile string? _failure;

    /// <summary>The other node, when it is up to this one to have it switched off; else null.</summary>
    public string? Other => _fence.OtherOf(lead.Members)?.Name;

    /// <summary>Why the other one was not switched off: for people.</summary>
    public string Reason { get; private set; } = "";

    private bool IsLed => lead.IsLeading || (lead.Leader is { } leader && leader.Name != lead.Self.Name);

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await Task.Delay(s_period, time, cancellation);
            if (lead.IsLeading || copy.Followed is not null)
                _fence.IsCurrent();
            if (Other is not { } other)
                continue;
            if (program is null)
            {
                Reason = "this node has no --fence";
                continue;
            }
            FenceStep step = _fence.Tick(lead.Members, IsLed, lead.IsDead, lead.Now);
            if (step == FenceStep.None)
                _failure = null;
            Reason = step switch
            {
                FenceStep.None => $"it has not been silent for {lead.DeadAfter.TotalSeconds:0} s",
                FenceStep.Stale => "since its start this node has not followed a leader, so it may have been switched off itself by the other, which then goes on",
                _ => _failure ?? "that is under way",
            };
            if (step == FenceStep.Fence)
                await FenceAsync(program, other, cancellation);
        }
    }

    private async Task FenceAsync(FenceProgram how, string other, CancellationToken cancellation)
    {
        log.LogWarning("Node {Node} has been silent for {Seconds:0.0} s, and there is no majority without it: it is being switched off", other, lead.SilentFor(other).TotalSeconds);
        _failure = await how.RunAsync(other, time, cancellation);
        bool off = _failure is null;
        if (off)
            log.LogWarning("Node {Node} is off: this node goes on alone", other);
        else
            log.LogError("Node {Node} could not be switched off: {Reason}", other, _failure);
        // Whoever leads after this one, when this one does not, has another list: then this store is copied whole.
        if (_fence.Ended(off, lead.Members, IsLed, lead.Now) is { } alone && await copy.WriteAloneAsync(cancellation))
            await lead.SetMembersAsync(alone, cancellation);
    }
}
