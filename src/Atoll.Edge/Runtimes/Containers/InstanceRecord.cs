using System.Text.Json;
using System.Text.Json.Serialization;
using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>
/// What must be known of an instance after the agent died: no environment and no arguments (they may hold secrets; they
/// are only in the bundle, below the run folder). Fields are added, never renamed: the next version reads this file.
/// </summary>
internal sealed record InstanceRecord
{
    public required string Id { get; init; }

    public required IReadOnlyDictionary<string, string> Labels { get; init; }

    public required string ImageDigest { get; init; }

    /// <summary>Path below every cgroup hierarchy.</summary>
    public required string Cgroup { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Null until the main process was started: such an instance is half made and is taken apart at start-up.</summary>
    public DateTimeOffset? StartedAt { get; init; }

    /// <summary>When its monitor was found to be gone without an exit code.</summary>
    public DateTimeOffset? LostAt { get; init; }

    public string BootId { get; set; } = "";

    public ProcessIdentity Main { get; init; }

    public ProcessIdentity Monitor { get; init; }

    /// <summary>Name of the OCI runtime that made it and alone understands its state; null in records of before there was a choice.</summary>
    public string? Runtime { get; init; }

    public bool Tty { get; init; }

    public bool Stdin { get; init; }

    internal static InstanceRecord? Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), RecordJson.Default.InstanceRecord);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            return null;
        }
    }

    internal void Write(string path, bool durable) =>
        AtomicFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(this, RecordJson.Default.InstanceRecord), durable);
}

/// <summary>A process that cannot be mistaken for a later one with the same number.</summary>
internal readonly record struct ProcessIdentity(int Pid, long StartTicks)
{
    /// <summary>The process now, or default when there is none.</summary>
    internal static ProcessIdentity Of(int pid) => Ticks(pid) is { } ticks ? new ProcessIdentity(pid, ticks) : default;

    /// <summary>True while that very process is there and no zombie.</summary>
    internal bool Alive => Pid > 0 && Ticks(Pid) == StartTicks;

    private static long? Ticks(int pid)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            // The name in parentheses may hold anything; fields are counted from its end: state is the first, start time the twentieth.
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] is "Z" or "X" ? null : long.Parse(fields[19], System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

[JsonSerializable(typeof(InstanceRecord))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
internal sealed partial class RecordJson : JsonSerializerContext;
