namespace Atoll.Edge.Networks;

/// <summary>Gives each pod a network namespace of its own with an address on the node's bridge, outside reach through the node, and host ports. Idempotent by pod; survives the agent.</summary>
public interface IPodNetwork
{
    /// <summary>Makes (or finds) the pod's namespace and address.</summary>
    Task<PodNetworkResult> AttachAsync(PodNetworkSpec spec, CancellationToken cancellation);

    /// <summary>Removes namespace, address and host ports. Unknown pods succeed.</summary>
    Task DetachAsync(string podUid, CancellationToken cancellation);

    /// <summary>UIDs of the pods that have a namespace now.</summary>
    Task<IReadOnlyList<string>> ListAsync(CancellationToken cancellation);

    /// <summary>Brings back what others took of the network of running pods: bridge, links, firewall table. Throws <see cref="IOException"/> when it cannot.</summary>
    Task RepairAsync(CancellationToken cancellation);

    /// <summary>Opens a TCP connection from inside the pod's namespace to its loopback (or, failing that, its address).</summary>
    Task<Stream> ConnectAsync(string podUid, int port, CancellationToken cancellation);
}

/// <summary>What a pod needs of the network.</summary>
public sealed record PodNetworkSpec(string PodUid, string Namespace, string Name, IReadOnlyList<HostPort> HostPorts);

/// <summary>A port of the node that leads to the pod; protocol is <c>TCP</c>, <c>UDP</c> or <c>SCTP</c>.</summary>
public sealed record HostPort(int Host, int Container, string Protocol, string? HostIp);

/// <summary>Namespace path and addresses, or why not.</summary>
public sealed record PodNetworkResult(string? NamespacePath, IReadOnlyList<string> Addresses, string? Error);
