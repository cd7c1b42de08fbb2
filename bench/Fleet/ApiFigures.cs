using System.Globalization;

namespace Atoll.Bench.Fleet;

/// <summary>How long calls of the API took, in milliseconds, from the moment at which each was due.</summary>
/// <param name="Calls">How many.</param>
/// <param name="Failures">That did not succeed, among them.</param>
/// <param name="P50">Half of them took no longer.</param>
/// <param name="P99">Of a hundred, 99 took no longer.</param>
/// <param name="Fresh">The same of those that made a connection of their own, as each command of kubectl does.</param>
/// <param name="Most">The longest.</param>
internal sealed record ApiFigures(int Calls, int Failures, double P50, double P99, double Fresh, double Most)
{
    public static ApiFigures Of(IReadOnlyCollection<(bool Fresh, double Ms)> calls, int failures)
    {
        double[] all = [.. calls.Select(c => c.Ms).Order()], fresh = [.. calls.Where(c => c.Fresh).Select(c => c.Ms).Order()];
        return new ApiFigures(all.Length, failures, At(all, 0.5), At(all, 0.99), At(fresh, 0.99), At(all, 1));
    }

    public static ApiFigures Parse(string line)
    {
        double[] parts = Array.ConvertAll(line.Split(' '), p => double.Parse(p, CultureInfo.InvariantCulture));
        return new ApiFigures((int)parts[0], (int)parts[1], parts[2], parts[3], parts[4], parts[5]);
    }

    public string ToLine() => string.Create(CultureInfo.InvariantCulture, $"{Calls} {Failures} {P50:F1} {P99:F1} {Fresh:F1} {Most:F1}");

    private static double At(double[] sorted, double share) => sorted.Length == 0 ? double.NaN : sorted[Math.Max(0, (int)Math.Ceiling(sorted.Length * share) - 1)];
}
