using System.Net;

namespace Atoll.Edge.Networks;

/// <summary>One node's pod network. Several nodes can share a machine when names, subnets and folders differ.</summary>
public sealed record BridgeNetworkOptions
{
    /// <summary>Name of the node: names the firewall table. <c>[a-z0-9-]</c>.</summary>
    public required string Node { get; init; }

    /// <summary>Durable state: addresses given to pods.</summary>
    public required string StateFolder { get; init; }

    /// <summary>Namespaces' mount points.</summary>
    public required string RunFolder { get; init; }

    /// <summary>The bridge's name, at most 15 characters.</summary>
    public string Bridge { get; init; } = "atoll0";

    /// <summary>Addresses of the pods; the first is the bridge's.</summary>
    public IPNetwork Subnet { get; init; } = IPNetwork.Parse("10.88.0.0/24");
}
