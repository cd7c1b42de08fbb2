using System.Text.Json;
using System.Text.Json.Serialization;
using Atoll.Api;

namespace Atoll.Edge.Instances;

/// <summary>How a container's attempt ended. Kept because the runtime forgets what was removed.</summary>
internal sealed record EndRecord(int ExitCode, string Reason, string? Message, DateTimeOffset? StartedAt, DateTimeOffset FinishedAt, string InstanceId);

/// <summary>Why and until when a container (or the pod) is being stopped.</summary>
internal sealed record StopRecord(string Reason, string Message, DateTimeOffset Since, double GraceSeconds)
{
    /// <summary>Why a pod leaves this node: its deletion was asked for; its object is gone after it had come to its end by itself; its object is gone.</summary>
    public const string Deleted = "Deleted", Ended = "Ended", Unwanted = "Unwanted";
}

/// <summary>
/// What node control must remember of a container besides what the runtime tells. An attempt is written down before it
/// is started, and instance ids follow from pod, container and attempt: a crash in between cannot start it twice.
/// </summary>
internal sealed record ContainerRecord
{
    public required string Name { get; init; }

    /// <summary>Number of the newest attempt, from 0; -1 before the first. It is the restart count.</summary>
    public int Attempt { get; init; } = -1;

    /// <summary>True once the runtime was seen to have the attempt.</summary>
    public bool Launched { get; init; }

    public string? Image { get; init; }
    public string? ImageId { get; init; }
    public DateTimeOffset? StartedAt { get; init; }
    public bool PostStarted { get; init; }
    public bool Started { get; init; }
    public bool Ready { get; init; }

    /// <summary>End of the newest attempt, or null while it runs.</summary>
    public EndRecord? Ended { get; init; }

    /// <summary>End of the attempt before.</summary>
    public EndRecord? Last { get; init; }

    /// <summary>True when the ended instance has been removed from the runtime.</summary>
    public bool Removed { get; init; }

    public double BackoffSeconds { get; init; }
    public DateTimeOffset? BackoffAt { get; init; }
    public int BackoffAnnounced { get; init; } = -1;
    public StopRecord? Stop { get; init; }
}

/// <summary>What node control must remember of a pod. Immutable; written to disk before anything is done that follows from it.</summary>
internal sealed record PodRecord
{
    public required string Uid { get; init; }
    public string Namespace { get; init; } = "";
    public string Name { get; init; } = "";
    public bool Admitted { get; init; }
    public DateTimeOffset? StartTime { get; init; }

    /// <summary>Set when the pod as a whole fails (refused, deadline, evicted): status reason and message.</summary>
    public StopRecord? Failure { get; init; }

    /// <summary>When stopping for deletion began, and with what grace.</summary>
    public StopRecord? Deletion { get; init; }

    /// <summary><c>Succeeded</c> or <c>Failed</c> once reached: never left again.</summary>
    public string? FinalPhase { get; init; }

    public bool Initialized { get; init; }
    public bool Prepared { get; init; }
    public bool Released { get; init; }
    public IReadOnlyList<string> Addresses { get; init; } = [];
    public IReadOnlyList<ContainerRecord> Containers { get; init; } = [];
    public IReadOnlyList<ConditionRecord> Conditions { get; init; } = [];

    /// <summary>
    /// What is kept of a pod that has left this node and never begins again, whoever leads the site and knows less: it came to its end by
    /// itself, or its deletion was asked for. Null for one that was only stopped because nobody wanted it here: that may be wanted again.
    /// </summary>
    public PodRecord? Kept() => ProtocolFaults.Is(ProtocolFault.EndedForgotten) ? null : Deletion?.Reason switch
    {
        StopRecord.Deleted => this,
        StopRecord.Ended => this with { Deletion = null },
        _ => null,
    };

    public ContainerRecord? Find(string name)
    {
        foreach (ContainerRecord container in Containers)
            if (container.Name == name)
                return container;
        return null;
    }

    public PodRecord With(ContainerRecord changed)
    {
        var list = new List<ContainerRecord>(Containers.Count + 1);
        bool found = false;
        foreach (ContainerRecord container in Containers)
        {
            found |= container.Name == changed.Name;
            list.Add(container.Name == changed.Name ? changed : container);
        }
        if (!found)
            list.Add(changed);
        return this with { Containers = list };
    }
}

/// <summary>Status and transition time of a condition, kept so that a restart of the agent moves no time.</summary>
internal sealed record ConditionRecord(string Type, string Status, DateTimeOffset Since);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(PodRecord))]
internal sealed partial class PodRecordJson : JsonSerializerContext;

/// <summary>The record's file: replaced by rename after a flush, so that it is the old one or the new one, whatever happens.</summary>
internal static class PodRecordFile
{
    private const int MaxBytes = 1024 * 1024, MaxEnded = 256;

    public static string PathOf(string podFolder) => Path.Combine(podFolder, "record.json");

    /// <summary>The record, or null when there is none or it is unreadable (then labels of instances are the source).</summary>
    public static PodRecord? Read(string podFolder) => ReadFile(PathOf(podFolder));

    /// <summary>The record of a pod that ended here and was kept by <see cref="KeepEnded"/>, or null.</summary>
    public static PodRecord? ReadEnded(string stateFolder, string uid) => ReadFile(Path.Combine(PodFolders.Ended(stateFolder), InstanceNames.PodPart(uid)));

    private static PodRecord? ReadFile(string path)
    {
        try
        {
            if (!File.Exists(path) || new FileInfo(path).Length > MaxBytes)
                return null;
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), PodRecordJson.Default.PodRecord);
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            return null;
        }
    }

    /// <summary>Keeps durably how a pod ended here, beyond its folder and its object; of the newest 256.</summary>
    public static void KeepEnded(string stateFolder, PodRecord record)
    {
        DirectoryInfo folder = Directory.CreateDirectory(PodFolders.Ended(stateFolder));
        using (var file = new FileStream(Path.Combine(folder.FullName, InstanceNames.PodPart(record.Uid)), FileMode.Create, FileAccess.Write, FileShare.None))
        {
            JsonSerializer.Serialize(file, record, PodRecordJson.Default.PodRecord);
            file.Flush(flushToDisk: true);
        }
        FileInfo[] all = folder.GetFiles();
        Array.Sort(all, static (a, b) => b.LastWriteTimeUtc.CompareTo(a.LastWriteTimeUtc));
        for (int i = MaxEnded; i < all.Length; i++)
            all[i].Delete();
    }

    public static void Write(string podFolder, PodRecord record)
    {
        Directory.CreateDirectory(podFolder);
        string path = PathOf(podFolder), next = path + ".new";
        using (var file = new FileStream(next, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            JsonSerializer.Serialize(file, record, PodRecordJson.Default.PodRecord);
            file.Flush(flushToDisk: true);
        }
        File.Move(next, path, overwrite: true);
    }
}
