using System.Collections.Concurrent;
using System.Net.Sockets;
using Atoll.Edge.Networks;

namespace Atoll.Edge.Runtimes.Fake;

/// <summary>Pod networks without namespaces: addresses from 10.88.0.0/16 in order of asking.</summary>
public sealed class FakePodNetwork : IPodNetwork
{
    private readonly ConcurrentDictionary<string, PodNetworkResult> _pods = new(StringComparer.Ordinal);
    private int _next = 1;

    /// <summary>Error of the next attachments; null works.</summary>
    public string? Error { get; set; }

    /// <summary>Where connections into pods lead; null refuses them.</summary>
    public Func<string, int, Stream>? Connect { get; set; }

    /// <inheritdoc/>
    public Task<PodNetworkResult> AttachAsync(PodNetworkSpec spec, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(spec);
        if (Error is { } error)
            return Task.FromResult(new PodNetworkResult(null, [], error));
        return Task.FromResult(_pods.GetOrAdd(spec.PodUid, uid =>
        {
            int n = Interlocked.Increment(ref _next);
            return new PodNetworkResult($"/run/netns/{uid}", [$"10.88.{n >> 8}.{n & 255}"], null);
        }));
    }

    /// <inheritdoc/>
    public Task DetachAsync(string podUid, CancellationToken cancellation)
    {
        _pods.TryRemove(podUid, out _);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task RepairAsync(CancellationToken cancellation) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListAsync(CancellationToken cancellation) => Task.FromResult<IReadOnlyList<string>>([.. _pods.Keys]);

    /// <inheritdoc/>
    public Task<Stream> ConnectAsync(string podUid, int port, CancellationToken cancellation) =>
        Connect is { } connect && _pods.ContainsKey(podUid)
            ? Task.FromResult(connect(podUid, port))
            : Task.FromException<Stream>(new SocketException((int)SocketError.ConnectionRefused));
}
