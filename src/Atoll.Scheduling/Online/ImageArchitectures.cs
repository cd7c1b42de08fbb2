using System.Collections.Immutable;
using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Keeps pods off nodes for whose architecture their images are not there, as far as nodes told when they pulled them. One node's word
/// that there is an image for an architecture is enough, of an image that nobody pulled nothing is known, and both keep no pod away.
/// </summary>
internal sealed class ImageArchitectures
{
    public const string Missing = "node(s) had no image for their architecture";

    private readonly LabelColumn _column;
    private readonly bool[] _closed;

    private ImageArchitectures(LabelColumn column, bool[] closed) => (_column, _closed) = (column, closed);

    /// <summary>What a pod's images say; null when they keep it off no node.</summary>
    public static ImageArchitectures? Of(PodSpec spec, Snapshot snapshot)
    {
        if (snapshot.Architectures.Count == 0 || snapshot.Labels.Find(WellKnown.ArchLabel) is not { } column)
            return null;
        bool[]? closed = null;
        foreach (Container container in (IEnumerable<Container>)[.. spec.Containers, .. spec.InitContainers ?? []])
            if (snapshot.Architectures.TryGetValue(ImageNames.Canonical(container.Image), out ImmutableDictionary<string, int>? known))
                for (int value = 1; value < column.Count; value++)
                    if (!known.ContainsKey(column.NameOf(value)))
                        (closed ??= new bool[column.Count])[value] = true;
        return closed is null ? null : new ImageArchitectures(column, closed);
    }

    public bool Allows(int row) => !_closed[_column[row]];
}
