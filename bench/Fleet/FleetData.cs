using System.Text.Json;
using System.Text.Json.Serialization;

namespace Atoll.Bench.Fleet;

/// <summary>What was measured so far: sizes may be measured one at a time, hours apart, and one size again.</summary>
internal sealed record FleetData(List<FleetResult> Results, PodRate.Result? Pods, FleetResult? Large = null)
{
    private const string FileName = "fleet.json";

    private static readonly JsonSerializerOptions s_options = new() { WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>What a folder holds, or nothing.</summary>
    public static FleetData Load(string folder) =>
        File.Exists(Path.Combine(folder, FileName)) ? JsonSerializer.Deserialize<FleetData>(File.ReadAllText(Path.Combine(folder, FileName)), s_options)! : new FleetData([], null);

    /// <summary>With a size measured anew.</summary>
    public FleetData With(FleetResult result) => this with { Results = [.. Results.Where(r => r.Sites != result.Sites).Append(result).OrderBy(r => r.Sites)] };

    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, FileName), JsonSerializer.Serialize(this, s_options) + "\n");
    }
}
