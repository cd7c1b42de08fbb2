using System.Collections.Immutable;
using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>
/// ImageLocality: bytes of the pod's images that a node already has, each counted by the share of nodes that have it, so that
/// one node with an image does not draw every pod. Source: Kubernetes, ImageLocality.
/// </summary>
internal sealed class ImageScores
{
    private const long Least = 23L << 20, MostForEach = 1000L << 20;

    private readonly Snapshot _snapshot;
    private readonly (string Name, long Bytes)[] _images;
    private readonly long _most;
    private readonly int _weight;

    private ImageScores(Snapshot snapshot, (string, long)[] images, int containers, int weight)
    {
        _snapshot = snapshot;
        _images = images;
        _most = MostForEach * containers;
        _weight = weight;
    }

    /// <summary>The score of a pod's images, or null when no node has any of them.</summary>
    public static ImageScores? Of(PodSpec spec, Snapshot snapshot, int weight)
    {
        if (weight == 0 || snapshot.Images.Count == 0)
            return null;
        var images = new List<(string, long)>();
        foreach (Container container in spec.Containers.Concat(spec.InitContainers ?? []))
        {
            string name = Named(container.Image ?? "");
            if (snapshot.Images.TryGetValue(name, out ImageState image))
                images.Add((name, (long)(image.Bytes * (image.Nodes / (double)snapshot.NodeCount))));
        }
        return images.Count == 0 ? null : new ImageScores(snapshot, [.. images], spec.Containers.Count + (spec.InitContainers?.Count ?? 0), weight);
    }

    public int Of(int row)
    {
        Dictionary<string, long> here = _snapshot.Nodes[row]!.Images;
        long sum = 0;
        foreach ((string name, long bytes) in _images)
            if (here.ContainsKey(name))
                sum += bytes;
        sum = Math.Clamp(sum, Least, Math.Max(Least, _most));
        return _most <= Least ? 0 : _weight * (int)(100 * (sum - Least) / (_most - Least));
    }

    // An image without a tag is the latest.
    private static string Named(string image) => image.LastIndexOf(':') <= image.LastIndexOf('/') ? image + ":latest" : image;
}
