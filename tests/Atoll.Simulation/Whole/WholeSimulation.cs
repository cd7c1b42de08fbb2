using System.Diagnostics;
using System.Globalization;

namespace Atoll.Simulation.Whole;

/// <summary>
/// Runs whole installations: the seeds of the corpus and 275 fixed ones, 15 of them with DaemonSets, 20 with Jobs and a centre that is put back too, 5 in which leaders are cut off as well, so that the answer is the same on every machine;
/// <c>make soak</c> runs 100,000, and <c>ATOLL_SIM_SECONDS=180</c> as many more as that time allows.
/// <c>--seed N</c> replays one and prints its trace (<see cref="Asked"/>).
/// </summary>
public sealed class WholeSimulation(ITestOutputHelper output)
{
    private const int Fixed = 235, Wide = 15, Deep = 20, Full = 5, Soak = 100_000;

    /// <summary>So many failing seeds say enough.</summary>
    private const int Enough = 12;

    [Fact]
    public void Every_seed_comes_to_rest_in_agreement()
    {
        if (Asked.Seed is { } one)
        {
            output.WriteLine(World.Replay(one));
            World.Run(one);
            return;
        }
        int count = Asked.Count(Fixed + Wide + Deep + Full, Soak);
        TimeSpan budget = TimeSpan.FromSeconds(Asked.Seconds ?? 0);
        int[] corpus = Asked.From > 1 ? [] : [.. Corpus.Seeds()];
        var watch = Stopwatch.StartNew();
        int next = Asked.From - 1 - corpus.Length;
        long steps = 0;
        var failures = new SortedDictionary<int, string>();
        // A world is single-threaded; seeds are not.
        Parallel.For(0, Environment.ProcessorCount, (_, state) =>
        {
            while (!state.IsStopped && Interlocked.Increment(ref next) is var turn && (turn < Asked.From + count || watch.Elapsed < budget))
            {
                int seed = turn <= 0 ? corpus[-turn] : Asked.Seeds is null && !Asked.Soak ? Usual(turn) : turn;
                try
                {
                    Interlocked.Add(ref steps, World.Run(seed));
                }
                catch (SimFailure failure)
                {
                    lock (failures)
                        failures[seed] = failure.Message;
                    if (failures.Count >= Enough)
                        state.Stop();
                }
            }
        });
        output.WriteLine($"{next - Environment.ProcessorCount - Asked.From + 1} seeds and {corpus.Length} of the corpus, {steps} steps in {watch.Elapsed.TotalSeconds:F0} s");
        Assert.True(failures.Count == 0, $"{string.Join('\n', failures.Values.Select(f => f.Split('\n')[0]))}\n\n{failures.Values.FirstOrDefault()}");
    }

    // Some of each kind of world.
    private static int Usual(int turn) => turn <= Fixed ? turn : turn <= Fixed + Wide ? 1000 + turn - Fixed : turn <= Fixed + Wide + Deep ? 2000 + turn - Fixed - Wide : 50_000 + turn - Fixed - Wide - Deep;
}

/// <summary>Seeds that once failed, one a line with what they found: they are run first, always.</summary>
internal static class Corpus
{
    public static IEnumerable<int> Seeds()
    {
        foreach (string line in File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Whole", "corpus.txt")))
            if (line.Split([' ', '#'], 2)[0] is { Length: > 0 } first)
                yield return int.Parse(first, CultureInfo.InvariantCulture);
    }
}
