using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>The node's ports that a pod claims: address, protocol and number.</summary>
internal sealed class HostPorts
{
    /// <summary>No ports.</summary>
    public static readonly HostPorts None = new([]);

    private readonly (string Ip, string Protocol, int Port)[] _ports;

    private HostPorts((string, string, int)[] ports) => _ports = ports;

    public bool IsEmpty => _ports.Length == 0;

    public static HostPorts Of(PodSpec spec)
    {
        List<(string, string, int)>? ports = null;
        foreach (Container container in spec.Containers)
            Add(container);
        foreach (Container container in spec.InitContainers ?? [])
            if (container.RestartPolicy == "Always")
                Add(container);
        return ports is null ? None : new HostPorts([.. ports]);

        void Add(Container container)
        {
            foreach (ContainerPort port in container.Ports ?? [])
            {
                int? number = port.HostPort ?? (spec.HostNetwork == true ? port.Number : null);
                if (number is > 0)
                    (ports ??= []).Add((string.IsNullOrEmpty(port.HostIP) ? "0.0.0.0" : port.HostIP, string.IsNullOrEmpty(port.Protocol) ? "TCP" : port.Protocol, number.Value));
            }
        }
    }

    public bool Conflicts(HostPorts other)
    {
        foreach ((string ip, string protocol, int port) in _ports)
            foreach ((string otherIp, string otherProtocol, int otherPort) in other._ports)
                if (port == otherPort && protocol == otherProtocol && (ip == otherIp || ip == "0.0.0.0" || otherIp == "0.0.0.0"))
                    return true;
        return false;
    }

    public bool SameAs(HostPorts other) => _ports.AsSpan().SequenceEqual(other._ports);
}
