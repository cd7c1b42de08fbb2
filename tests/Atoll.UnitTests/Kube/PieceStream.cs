namespace Atoll.UnitTests.Kube;

/// <summary>What an answer is written to: knows how much of it was held before it was sent on.</summary>
internal sealed class PieceStream : MemoryStream
{
    private long _sent;

    /// <summary>Most bytes between two flushes.</summary>
    public long Longest { get; private set; }

    public override Task FlushAsync(CancellationToken cancellationToken)
    {
        (Longest, _sent) = (Math.Max(Longest, Length - _sent), Length);
        return Task.CompletedTask;
    }
}
