using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Binding;

/// <summary>The profiles in use, by schedulerName. A broken change leaves the last good settings in use; default-scheduler is always known.</summary>
internal sealed class ProfileBook
{
    private const string Usual = "default-scheduler";

    /// <summary>Profiles by schedulerName; the empty name is the default scheduler's.</summary>
    public ImmutableDictionary<string, SchedulingProfile> Current { get; private set; } = ImmutableDictionary.Create<string, SchedulingProfile>(StringComparer.Ordinal);

    /// <summary>True when pods of a schedulerName are ours.</summary>
    public bool Knows(string? schedulerName) => string.IsNullOrEmpty(schedulerName) || schedulerName == Usual || Current.ContainsKey(schedulerName);

    /// <summary>Takes in a change of a SchedulerProfile; true when other settings are in use now.</summary>
    public bool Change(KubeObject? old, KubeObject? now)
    {
        ImmutableDictionary<string, SchedulingProfile> before = Current;
        if (now is null)
            Current = Current.Remove(old!.Name);
        else
        {
            SchedulerProfile view = now.View(ApiJson.Default.SchedulerProfile);
            SchedulingProfile? profile = ProfileReader.Read(view.Spec, out _) ?? Current.GetValueOrDefault(now.Name)
                ?? (view.Status?.Active is { } last ? ProfileReader.Read(last, out _) : null);
            // A status that was written is no change of settings.
            bool same = old is not null && old.Metadata.Generation == now.Metadata.Generation && Current.ContainsKey(now.Name);
            if (profile is not null && !same)
                Current = Current.SetItem(now.Name, profile);
        }
        Current = Current.GetValueOrDefault(Usual) is { } usual ? Current.SetItem("", usual) : Current.Remove("");
        return !ReferenceEquals(before, Current);
    }
}
