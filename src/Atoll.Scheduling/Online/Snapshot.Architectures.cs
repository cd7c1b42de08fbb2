using System.Collections.Immutable;
using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>What the fleet's nodes told of images' architectures.</summary>
public sealed partial class Snapshot
{
    /// <summary>For each image that a node told of: its architectures, and how many nodes say so.</summary>
    internal ImmutableDictionary<string, ImmutableDictionary<string, int>> Architectures { get; private set; } = ImmutableDictionary.Create<string, ImmutableDictionary<string, int>>(StringComparer.Ordinal);

    // True when some pod may go where it could not.
    private bool CountArchitectures(IReadOnlyList<NodeImage> old, IReadOnlyList<NodeImage> now)
    {
        if (ReferenceEquals(old, now) || (old.Count == now.Count && old.Zip(now).All(p => p.First.Name == p.Second.Name && p.First.Architectures.SequenceEqual(p.Second.Architectures, StringComparer.Ordinal))))
            return false;
        ImmutableDictionary<string, ImmutableDictionary<string, int>> before = Architectures;
        foreach (NodeImage image in now)
            Count(image, 1);
        foreach (NodeImage image in old)
            Count(image, -1);
        // One that is known no more keeps no pod away; one that is new opens nothing.
        return old.Any(i => !Architectures.ContainsKey(i.Name)) || now.Any(i => before.TryGetValue(i.Name, out var known) && i.Architectures.Exists(a => !known.ContainsKey(a)));
    }

    private void Count(NodeImage image, int sign)
    {
        ImmutableDictionary<string, int> known = Architectures.GetValueOrDefault(image.Name) ?? ImmutableDictionary.Create<string, int>(StringComparer.Ordinal);
        foreach (string architecture in image.Architectures.Distinct(StringComparer.Ordinal))
            known = known.GetValueOrDefault(architecture) + sign is > 0 and var count ? known.SetItem(architecture, count) : known.Remove(architecture);
        Architectures = known.IsEmpty ? Architectures.Remove(image.Name) : Architectures.SetItem(image.Name, known);
    }
}
