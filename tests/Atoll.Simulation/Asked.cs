using System.Globalization;

namespace Atoll.Simulation;

/// <summary>
/// What a run was asked for. <c>--seed N</c> (or ATOLL_SEED) replays one seed; ATOLL_SEEDS is a number of seeds, from ATOLL_FROM on;
/// ATOLL_FAULT is the planted fault that seeds are looked for; ATOLL_SIM_SECONDS is the time for seeds beyond the fixed ones; ATOLL_SOAK=1 is the long form.
/// </summary>
internal static class Asked
{
    /// <summary>The one seed to replay, or null.</summary>
    public static int? Seed { get; } = Read("ATOLL_SEED") ?? Argument();

    /// <summary>How many seeds to run, or null.</summary>
    public static int? Seeds { get; } = Read("ATOLL_SEEDS");

    /// <summary>How many seeds to run.</summary>
    public static int Count(int usual, int soak) => Seeds ?? (Soak ? soak : usual);

    /// <summary>The first seed: so a long run can be made in parts.</summary>
    public static int From { get; } = Read("ATOLL_FROM") ?? 1;

    /// <summary>The one planted fault to look for, or null for every one.</summary>
    public static string? Fault { get; } = Environment.GetEnvironmentVariable("ATOLL_FAULT");

    /// <summary>Seconds for seeds beyond the fixed ones, or null.</summary>
    public static int? Seconds { get; } = Read("ATOLL_SIM_SECONDS");

    /// <summary>True for the long form.</summary>
    public static bool Soak { get; } = Environment.GetEnvironmentVariable("ATOLL_SOAK") == "1";

    private static int? Argument()
    {
        string[] arguments = Environment.GetCommandLineArgs();
        int at = Array.IndexOf(arguments, "--seed");
        return at >= 0 ? Number(arguments.ElementAtOrDefault(at + 1)) : null;
    }

    private static int? Read(string variable) => Number(Environment.GetEnvironmentVariable(variable));

    private static int? Number(string? text) => int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out int value) ? value : null;
}
