using Atoll.Edge.Content;
using Atoll.Edge.Networks;
using Atoll.Edge.Runtimes.Containers;

namespace Atoll.Agent.Host;

/// <summary>The parts of a node that touch the machine, and the one place where their folders and names are decided.</summary>
internal sealed class EdgeNode : IDisposable
{
    public EdgeNode(AgentOptions options, TimeProvider time)
    {
        Content = new ContentPath(time);
        var handler = new SocketsHttpHandler { PooledConnectionIdleTimeout = TimeSpan.FromSeconds(10), ConnectTimeout = TimeSpan.FromSeconds(30), ConnectCallback = Content.ConnectAsync };
        Images = new ImageStore(new ImageStoreOptions { Folder = Path.Combine(options.State, "images"), Mirrors = options.Mirrors, InsecureRegistries = options.InsecureRegistries }, time, handler);
        Runtime = new ContainerRuntime(new ContainerRuntimeOptions { Node = options.NodeName, StateFolder = Path.Combine(options.State, "instances"), RunFolder = Path.Combine(options.Run, "instances"), OciRuntime = options.OciRuntime }, Images, time);
        Network = new BridgePodNetwork(new BridgeNetworkOptions { Node = options.NodeName, StateFolder = Path.Combine(options.State, "network"), RunFolder = Path.Combine(options.Run, "network"), Subnet = options.PodSubnet });
    }

    /// <summary>The way to registries.</summary>
    public ContentPath Content { get; }

    public ImageStore Images { get; }

    public ContainerRuntime Runtime { get; }

    public BridgePodNetwork Network { get; }

    public void Dispose() => Network.Dispose();
}
