using System.Globalization;

namespace Atoll.UnitTests.Store;

/// <summary>How often a store is killed or loses power: ATOLL_ROUNDS times, else 1,000 times under ATOLL_SOAK=1, else 50 times. ATOLL_FROM draws others.</summary>
internal static class Rounds
{
    public static int Count { get; } = Read("ATOLL_ROUNDS") ?? (Environment.GetEnvironmentVariable("ATOLL_SOAK") == "1" ? 1000 : 50);

    /// <summary>What a run begins its dice with, so that a long one can be made in parts.</summary>
    public static int Seed(int usual) => usual + (Read("ATOLL_FROM") ?? 0);

    private static int? Read(string variable) => int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
