using System.Runtime.InteropServices;

namespace Atoll.Edge.Content;

/// <content>What pulls taught about images' architectures: told with the node's status, so that the scheduler places pods where their image is.</content>
public sealed partial class ImageStore
{
    private const int MaxArchitectures = 100;

    /// <summary>How long an image that had nothing for this node is remembered: somebody may push what was missing.</summary>
    private static readonly TimeSpan unsuitableMemory = TimeSpan.FromHours(1);

    private readonly Dictionary<string, (IReadOnlyList<string> Architectures, long At)> unsuitable = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Architectures
    {
        get
        {
            var all = new SortedDictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
            lock (gate)
            {
                foreach (var name in unsuitable.Where(u => time.GetElapsedTime(u.Value.At) > unsuitableMemory).Select(u => u.Key).ToList()) unsuitable.Remove(name);
                foreach (var (name, known) in unsuitable) all[name] = known.Architectures;
                foreach (var image in images.Values.Where(i => i.Architectures.Count > 0).OrderByDescending(i => i.UsedAt))
                    foreach (var name in image.References)
                        if (all.Count < MaxArchitectures)
                            all.TryAdd(name, image.Architectures);
            }
            return all;
        }
    }

    private string OwnArchitecture => options.Architecture ?? RuntimeInformation.OSArchitecture switch { Architecture.X64 => "amd64", Architecture.Arm64 => "arm64", var other => other.ToString().ToLowerInvariant() };

    /// <summary>The image had nothing for this node.</summary>
    private void Unsuitable(ImageReference reference, IReadOnlyList<string> architectures)
    {
        lock (gate)
        {
            if (unsuitable.Count >= MaxArchitectures && !unsuitable.ContainsKey(reference.Canonical)) unsuitable.Remove(unsuitable.MinBy(u => u.Value.At).Key);
            if (architectures.Count > 0) unsuitable[reference.Canonical] = (architectures, time.GetTimestamp());
        }
    }
}
