using System.Collections.Concurrent;
using System.Globalization;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Cases drawn from their number: the same on every machine and at every run, so that one that fails can be named and tried alone.</summary>
internal static class DrawnCases
{
    /// <summary>Tries the cases 0 to <paramref name="count"/> − 1 on all cores and names those that fail.</summary>
    /// <param name="count">How many.</param>
    /// <param name="most">Most nodes, pods there and pods pending.</param>
    /// <param name="check">Throws where a case is wrong.</param>
    /// <param name="open">Cases that are known to fail and are not mended yet.</param>
    public static void Each(int count, (int Nodes, int Pods, int Pending) most, Action<(int Seed, int Nodes, int Pods, int Pending)> check, params int[] open)
    {
        var failed = new ConcurrentBag<(int Number, string Why)>();
        Parallel.For(0, count, number =>
        {
            if (Array.IndexOf(open, number) >= 0)
                return;
            var random = new Random(number);
            try
            {
                check((random.Next(1_000_000_000), random.Next(1, most.Nodes + 1), random.Next(most.Pods + 1), random.Next(1, most.Pending + 1)));
            }
            catch (Exception e)
            {
                failed.Add((number, e.Message));
            }
        });
        Assert.True(failed.IsEmpty, string.Create(CultureInfo.InvariantCulture, $"{failed.Count} of {count} cases fail: {string.Join("\n", failed.OrderBy(f => f.Number).Take(20).Select(f => $"{f.Number}: {f.Why}"))}\nall: {string.Join(", ", failed.Select(f => f.Number).Order())}"));
    }
}
