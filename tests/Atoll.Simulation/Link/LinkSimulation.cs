namespace Atoll.Simulation.Link;

/// <summary>Runs the link's world over many seeds. <c>--seed N</c> replays one; ATOLL_SEEDS says how many to run (200 by default, 20,000 in make soak).</summary>
public sealed class LinkSimulation
{
    /// <summary>Seeds that once failed; each run begins with them.</summary>
    private static readonly int[] Corpus = [];

    [Fact]
    public void Every_seed_comes_to_rest_in_agreement()
    {
        if (Asked.Seed is { } one)
        {
            new SimWorld(one).Run();
            return;
        }
        int count = Asked.Count(200, 20_000);
        foreach (int seed in Corpus)
            new SimWorld(seed).Run();
        // The world is single-threaded; seeds are not.
        Parallel.For(Asked.From, Asked.From + count, seed => new SimWorld(seed).Run());
    }
}
