using System.Globalization;
using Atoll.Api;

namespace Atoll.Simulation.Whole;

/// <summary>
/// The simulation bites: with each of these mistakes planted in the product some seed fails, by the claim that it breaks. Which seeds
/// do is written in <c>faults.txt</c>; after a change of the world, ATOLL_SEEDS=120 looks for them anew (ATOLL_FAULT: for that one) and prints the lines.
/// </summary>
public sealed class PlantedFaults(ITestOutputHelper output)
{
    /// <summary>Every fault that is to be found by known seeds; when they are looked for anew, every fault there is.</summary>
    public static TheoryData<string> Faults() => new(Asked.Seeds is null ? Lines().Select(l => l[0]) : Enum.GetNames<ProtocolFault>().Where(n => Asked.Fault is { } one ? n == one : n != nameof(ProtocolFault.None)));

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_planted_fault_is_found_by_the_claim_that_it_breaks(string fault)
    {
        if (Asked.Seed is not null)
            return;
        if (Asked.Seeds is { } count)
        {
            output.WriteLine(Search(fault, count));
            return;
        }
        (Claim claim, int[] seeds) = Known(fault);
        Assert.True(seeds.Any(seed => Find(fault, seed) == claim), $"With {fault} planted none of the seeds {string.Join(", ", seeds)} breaks the claim {claim}: look for others with ATOLL_SEEDS=120.");
    }

    private static IEnumerable<string[]> Lines() => File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Whole", "faults.txt")).Select(l => l.Split(' '));

    private static (Claim Claim, int[] Seeds) Known(string fault)
    {
        string[] words = Lines().Single(w => w[0] == fault);
        return (Enum.Parse<Claim>(words[1]), [.. words.Skip(2).Select(w => int.Parse(w, CultureInfo.InvariantCulture))]);
    }

    // The claim that is named first by two seeds, with those.
    private static string Search(string fault, int count)
    {
        var found = new List<(int Seed, Claim Claim)>();
        IGrouping<Claim, (int Seed, Claim Claim)>? best = null;
        Parallel.For(Asked.From, Asked.From + count, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, (seed, state) =>
        {
            if (state.IsStopped || Find(fault, seed) is not { } claim)
                return;
            lock (found)
            {
                found.Add((seed, claim));
                best = found.GroupBy(f => f.Claim).MaxBy(g => g.Count());
                if (best!.Count() >= 2)
                    state.Stop();
            }
        });
        Assert.True(best is not null, $"None of {count} seeds finds the fault {fault}.");
        return $"{fault} {best.Key} {string.Join(' ', best.Select(f => f.Seed).Order())}";
    }

    private static Claim? Find(string fault, int seed)
    {
        ProtocolFaults.Planted = Enum.Parse<ProtocolFault>(fault);
        try
        {
            World.Run(seed, explain: false);
            return null;
        }
        catch (SimFailure failure)
        {
            return failure.Claim;
        }
        finally
        {
            ProtocolFaults.Planted = ProtocolFault.None;
        }
    }
}
