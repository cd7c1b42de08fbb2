using System.Net;
using Atoll.Agent.Members;
using Atoll.Edge.Devices;
using Atoll.Link;

namespace Atoll.Agent.Host;

/// <summary>What an agent needs to know; made by the command line.</summary>
internal sealed record AgentOptions
{
    /// <summary>Where an agent's state is when nobody says otherwise.</summary>
    public const string StateRoot = "/var/lib/atoll";

    /// <summary>Durable state: identity, store, images, instances, volumes, logs.</summary>
    public required string State { get; init; }

    /// <summary>Name of this node, unique in the region.</summary>
    public required string NodeName { get; init; }

    /// <summary>Addresses of the pods of this node.</summary>
    public IPNetwork PodSubnet { get; init; } = IPNetwork.Parse("10.88.0.0/24");

    /// <summary>Share of the machine that this node may sell.</summary>
    public double CapacityShare { get; init; } = 1;

    /// <summary>Devices that this node has.</summary>
    public IReadOnlyList<DeclaredDevice> Devices { get; init; } = [];

    /// <summary>Address of the node; null asks the route table.</summary>
    public string? NodeAddress { get; init; }

    /// <summary>Registry → addresses asked before it.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<Uri>> Mirrors { get; init; } = new Dictionary<string, IReadOnlyList<Uri>>();

    /// <summary>Registries spoken to over plain HTTP.</summary>
    public IReadOnlySet<string> InsecureRegistries { get; init; } = new HashSet<string>();

    /// <summary>Bytes of images above which unused ones are deleted, down to four fifths of it; 0 goes by the disk (85 % full).</summary>
    public long ImageLimitBytes { get; init; }

    /// <summary>OCI runtime; null tries crun, then runc.</summary>
    public string? OciRuntime { get; init; }

    /// <summary>Loopback port of the site's own API.</summary>
    public int ApiPort { get; init; } = 6444;

    /// <summary>What the validity dates of the parent's certificate are held against.</summary>
    public CertificateDates Dates { get; init; }

    /// <summary>Address on the site's own network at which this node's peers reach it; null is a site of one node, which listens for nobody.</summary>
    public IPEndPoint? Lan { get; init; }

    /// <summary>Addresses of other nodes of the site, to begin with: the rest is told by the site.</summary>
    public IReadOnlyList<string> Peers { get; init; } = [];

    /// <summary>Address of the site's witness; empty: it is to have none; null: as another node says, or as it is.</summary>
    public string? Witness { get; init; }

    /// <summary>Switches the other node of a site of two off; null: there is no such program.</summary>
    public FenceProgram? Fence { get; init; }

    /// <summary>Silence after which a node of the site counts as dead.</summary>
    public TimeSpan DeadAfter { get; init; } = TimeSpan.FromSeconds(8);

    /// <summary>For how long an answer of the site's leader lets this node run pods of StatefulSets; zero: they are neither stopped nor replaced.</summary>
    public TimeSpan IdentityLease { get; init; } = TimeSpan.FromSeconds(16);

    /// <summary>State that a reboot may lose.</summary>
    public string Run => Path.Combine("/run/atoll", NodeName);

    /// <summary>Unix socket of the site's API: for the tunnel and for programs on this machine; only its owner may connect.</summary>
    public string Socket => Path.Combine(Run, "api.sock");
}
