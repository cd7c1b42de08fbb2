using System.Globalization;

namespace Atoll.Simulation.Link;

/// <summary>Runs the link's world over many seeds. ATOLL_SEED replays one; ATOLL_SEEDS says how many to run (200 by default).</summary>
public sealed class LinkSimulation
{
    /// <summary>Seeds that once failed; each run begins with them.</summary>
    private static readonly int[] Corpus = [];

    [Fact]
    public void Every_seed_comes_to_rest_in_agreement()
    {
        if (Read("ATOLL_SEED") is { } one)
        {
            new SimWorld(one).Run();
            return;
        }
        int count = Read("ATOLL_SEEDS") ?? 200;
        foreach (int seed in Corpus)
            new SimWorld(seed).Run();
        // The world is single-threaded; seeds are not.
        Parallel.For(1, count + 1, seed => new SimWorld(seed).Run());
    }

    private static int? Read(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.Integer, CultureInfo.InvariantCulture, out int value) ? value : null;
}
