using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Atoll.Edge.Content;

namespace Atoll.Edge.Runtimes.Fake;

/// <summary>An image store without content: every reference can be pulled unless <see cref="Pull"/> says otherwise.</summary>
public sealed class FakeImages : IImages
{
    private readonly ConcurrentDictionary<string, ImageInfo> _images = new(StringComparer.Ordinal);
    private int _pulls;

    /// <summary>Decides pulls: null makes an image. The credential is what node control found for it.</summary>
    public Func<string, ImageCredential?, ImagePull?>? Pull { get; set; }

    /// <summary>User of made images.</summary>
    public string User { get; set; } = "";

    /// <summary>How many pulls were asked for.</summary>
    public int Pulls => Volatile.Read(ref _pulls);

    /// <summary>Puts an image here as if it had been pulled.</summary>
    public ImageInfo Add(string reference)
    {
        string digest = "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(reference)));
        return _images.GetOrAdd(reference, _ => new ImageInfo
        {
            Digest = digest,
            References = [reference],
            SizeBytes = 1000,
            LayerPaths = [],
            Entrypoint = ["/entry"],
            Command = ["cmd"],
            Environment = ["PATH=/bin", "FROM_IMAGE=1"],
            WorkingDirectory = "/",
            User = User,
            StopSignal = 15,
        });
    }

    /// <inheritdoc/>
    public Task<ImageInfo?> FindAsync(string reference, CancellationToken cancellation) =>
        Task.FromResult(_images.GetValueOrDefault(reference) ?? _images.Values.FirstOrDefault(i => i.Digest == reference));

    /// <inheritdoc/>
    public Task<ImagePull> PullAsync(string reference, ImageCredential? credential, CancellationToken cancellation)
    {
        Interlocked.Increment(ref _pulls);
        ImagePull? decided = Pull?.Invoke(reference, credential);
        return Task.FromResult(decided ?? new ImagePull(Add(reference), null, null));
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<ImageInfo>> ListAsync(CancellationToken cancellation) => Task.FromResult<IReadOnlyList<ImageInfo>>([.. _images.Values]);

    /// <inheritdoc/>
    public Task<long> CollectAsync(IReadOnlySet<string> digestsInUse, long targetBytes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(digestsInUse);
        long freed = 0;
        foreach (KeyValuePair<string, ImageInfo> pair in _images)
            if (!digestsInUse.Contains(pair.Value.Digest) && _images.Values.Sum(i => i.SizeBytes) > targetBytes && _images.TryRemove(pair.Key, out _))
                freed += pair.Value.SizeBytes;
        return Task.FromResult(freed);
    }

    /// <inheritdoc/>
    public Task<long> SizeAsync(CancellationToken cancellation) => Task.FromResult(_images.Values.Sum(i => i.SizeBytes));
}
