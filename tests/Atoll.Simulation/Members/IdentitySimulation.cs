namespace Atoll.Simulation.Members;

/// <summary>
/// Pods with an identity in a site of several nodes, over many seeds: never do two nodes run one identity, and when all is quiet each
/// runs. <c>--seed N</c> replays one; ATOLL_SEEDS says how many to run (200 by default, 20,000 in make soak).
/// </summary>
public sealed class IdentitySimulation
{
    [Fact]
    public void Never_do_two_nodes_run_one_identity_and_in_the_end_each_runs()
    {
        if (Asked.Seed is { } one)
        {
            new IdentityWorld(one).Run();
            return;
        }
        int moved = 0, fenced = 0;
        Parallel.For(Asked.From, Asked.From + Asked.Count(200, 20_000), seed =>
        {
            var world = new IdentityWorld(seed);
            world.Run();
            Interlocked.Add(ref moved, world.Moved);
            Interlocked.Add(ref fenced, world.Fenced);
        });
        Assert.True(moved > 50, $"identities went to another node only {moved} times: the disturbances prove nothing");
        Assert.True(fenced > 20, $"a node went on alone after it had the other switched off only {fenced} times");
    }

    /// <summary>The checker bites: without any one part of the fence, some seed has an identity on two nodes.</summary>
    [Theory]
    [InlineData(IdentityFault.NoWait)]
    [InlineData(IdentityFault.NoStop)]
    [InlineData(IdentityFault.StaleStart)]
    [InlineData(IdentityFault.NoMajority)]
    [InlineData(IdentityFault.WitnessForgets)]
    [InlineData(IdentityFault.FenceUnchecked)]
    [InlineData(IdentityFault.FenceByOldState)]
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
                return e.Message.Contains("runs on", StringComparison.Ordinal) || e.Message.Contains("lead at once", StringComparison.Ordinal);
            }
        });
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

    /// <summary>A node goes on alone although the other was not switched off.</summary>
    FenceUnchecked,

    /// <summary>A node that boots has the other switched off before it knows what that one did.</summary>
    FenceByOldState,
}
