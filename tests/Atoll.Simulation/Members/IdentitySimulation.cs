using System.Globalization;

namespace Atoll.Simulation.Members;

/// <summary>
/// Pods with an identity in a site of several nodes, over many seeds: never do two nodes run one identity, and when all is quiet each
/// runs. ATOLL_SEED replays one; ATOLL_SEEDS says how many to run (200 by default).
/// </summary>
public sealed class IdentitySimulation
{
    [Fact]
    public void Never_do_two_nodes_run_one_identity_and_in_the_end_each_runs()
    {
        if (Read("ATOLL_SEED") is { } one)
        {
            new IdentityWorld(one).Run();
            return;
        }
        int moved = 0;
        Parallel.For(1, (Read("ATOLL_SEEDS") ?? 200) + 1, seed =>
        {
            var world = new IdentityWorld(seed);
            world.Run();
            Interlocked.Add(ref moved, world.Moved);
        });
        Assert.True(moved > 50, $"identities went to another node only {moved} times: the disturbances prove nothing");
    }

    /// <summary>The checker bites: without any one part of the fence, some seed has an identity on two nodes.</summary>
    [Theory]
    [InlineData(IdentityFault.NoWait)]
    [InlineData(IdentityFault.NoStop)]
    [InlineData(IdentityFault.StaleStart)]
    [InlineData(IdentityFault.NoMajority)]
    [InlineData(IdentityFault.WitnessForgets)]
    public void Without_a_part_of_the_fence_some_seed_fails(IdentityFault fault) =>
        Assert.Contains(Enumerable.Range(1, 400), seed =>
        {
            try
            {
                new IdentityWorld(seed) { Fault = fault }.Run();
                return false;
            }
            catch (InvalidOperationException e)
            {
                return e.Message.Contains("runs on", StringComparison.Ordinal);
            }
        });

    private static int? Read(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.Integer, CultureInfo.InvariantCulture, out int value) ? value : null;
}

/// <summary>A part of the fence that a run leaves out.</summary>
public enum IdentityFault
{
    /// <summary>None.</summary>
    None,

    /// <summary>The leader replaces what a dead node ran at once.</summary>
    NoWait,

    /// <summary>A node whose lease has ended goes on.</summary>
    NoStop,

    /// <summary>A node that has a lease again starts what its old copy says.</summary>
    StaleStart,

    /// <summary>A replacement starts before a majority knows of it.</summary>
    NoMajority,

    /// <summary>The witness forgets the fences that it was told.</summary>
    WitnessForgets,
}
