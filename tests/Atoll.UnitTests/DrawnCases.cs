using System.Collections.Concurrent;
using System.Globalization;
using CsCheck;

namespace Atoll.UnitTests;

/// <summary>
/// Cases drawn from their number: the same on every machine and at every run, so that one that fails can be named and tried alone. Under
/// ATOLL_SOAK=1 fifty times as many, from a number that no run had before; ATOLL_CASES_FROM=NUMBER begins there instead,
/// and ATOLL_CASES=NUMBER tries so many.
/// </summary>
internal static class DrawnCases
{
    private static readonly bool s_soak = Environment.GetEnvironmentVariable("ATOLL_SOAK") == "1";
    private static readonly int s_from = Environment.GetEnvironmentVariable("ATOLL_CASES_FROM") is { Length: > 0 } from ? int.Parse(from, CultureInfo.InvariantCulture)
        : s_soak ? new Random().Next(int.MaxValue / 2) : 0;

    /// <summary>Tries so many of what a generator makes, one after the other; names the one that fails first, its seed and its number.</summary>
    public static async Task EachAsync<T>(this Gen<T> gen, int count, Func<T, Task> check)
    {
        count = Count(count);
        for (int number = s_from; number < s_from + count; number++)
        {
            var random = new PCG(1, (ulong)new Random(number).NextInt64());
            string seed = random.ToString();
            T drawn = gen.Generate(random, null, out _);
            try
            {
                await check(drawn);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"case {number} (seed {seed}, for ATOLL_CASES_FROM={number} ATOLL_CASES=1) fails: {Check.Print(drawn)}\n{e.Message}"), e);
            }
        }
    }

    /// <inheritdoc cref="EachAsync{T}"/>
    public static void Each<T>(this Gen<T> gen, int count, Action<T> check) => gen.EachAsync(count, drawn =>
    {
        check(drawn);
        return Task.CompletedTask;
    }).GetAwaiter().GetResult();

    /// <inheritdoc cref="EachAsync{T}"/>
    public static void Each<T1, T2>(this Gen<(T1, T2)> gen, int count, Action<T1, T2> check) => gen.Each(count, drawn => check(drawn.Item1, drawn.Item2));

    /// <inheritdoc cref="EachAsync{T}"/>
    public static void Each<T1, T2, T3>(this Gen<(T1, T2, T3)> gen, int count, Action<T1, T2, T3> check) => gen.Each(count, drawn => check(drawn.Item1, drawn.Item2, drawn.Item3));

    /// <summary>Tries so many cases, by default the first, on all cores and names those that fail.</summary>
    /// <param name="count">How many.</param>
    /// <param name="most">Most nodes, pods there and pods pending.</param>
    /// <param name="check">Throws where a case is wrong.</param>
    /// <param name="also">Cases that failed once.</param>
    public static void Each(int count, (int Nodes, int Pods, int Pending) most, Action<(int Seed, int Nodes, int Pods, int Pending)> check, params (int Seed, int Nodes, int Pods, int Pending)[] also)
    {
        count = Count(count);
        var failed = new ConcurrentBag<(int Number, string Why)>();
        Parallel.For(-also.Length, count, number =>
        {
            var random = new Random(s_from + Math.Max(0, number));
            (int, int, int, int) drawn = number < 0 ? also[number + also.Length] : (random.Next(1_000_000_000), random.Next(1, most.Nodes + 1), random.Next(most.Pods + 1), random.Next(1, most.Pending + 1));
            try
            {
                check(drawn);
            }
            catch (Exception e)
            {
                failed.Add((number, $"{drawn}: {e.Message}"));
            }
        });
        Assert.True(failed.IsEmpty, string.Create(CultureInfo.InvariantCulture, $"{failed.Count} of {count} cases from {s_from} fail: {string.Join("\n", failed.OrderBy(f => f.Number).Take(20).Select(f => f.Why))}"));
    }

    private static int Count(int usual) => Environment.GetEnvironmentVariable("ATOLL_CASES") is { Length: > 0 } own ? int.Parse(own, CultureInfo.InvariantCulture) : s_soak ? 50 * usual : usual;
}
