using System.Text;
using Atoll.Api.Core;

namespace Atoll.Edge.Instances;

/// <summary>/etc/hosts, /etc/hostname and /etc/resolv.conf of a pod's containers.</summary>
internal static class HostFiles
{
    public static string Hostname(Pod pod, string nodeHostname)
    {
        if (pod.Spec.HostNetwork == true)
            return nodeHostname;
        string name = pod.Spec.Hostname ?? pod.Metadata.Name ?? "";
        return name.Length <= 63 ? name : name[..63].TrimEnd('-', '.');
    }

    public static string Hosts(Pod pod, IReadOnlyList<string> addresses, string hostname, string hostFile)
    {
        var text = new StringBuilder("# Kubernetes-managed hosts file");
        if (pod.Spec.HostNetwork == true)
            text.Append(" (host network).\n").Append(hostFile.TrimEnd('\n')).Append('\n');
        else
        {
            text.Append(".\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
            foreach (string address in addresses)
            {
                text.Append(address).Append('\t');
                if (!string.IsNullOrEmpty(pod.Spec.Subdomain))
                    text.Append(hostname).Append('.').Append(pod.Spec.Subdomain).Append('.').Append(pod.Metadata.Namespace).Append(".svc.cluster.local\t");
                text.Append(hostname).Append('\n');
            }
        }
        if (pod.Spec.HostAliases is { Count: > 0 } aliases)
        {
            text.Append("\n# Entries added by HostAliases.\n");
            foreach (HostAlias alias in aliases)
                text.Append(alias.Ip).Append('\t').AppendJoin('\t', alias.Hostnames ?? []).Append('\n');
        }
        return text.ToString();
    }

    /// <summary>
    /// The node's resolver for Default, ClusterFirst and ClusterFirstWithHostNet (there is no service DNS at a site yet), nothing
    /// for None; dnsConfig is added to either, as Kubernetes merges it.
    /// </summary>
    public static string Resolv(PodSpec spec, string hostFile)
    {
        var servers = new List<string>();
        var searches = new List<string>();
        var options = new List<string>();
        if (spec.DnsPolicy != "None")
            foreach (string line in hostFile.Split('\n'))
            {
                string[] words = line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
                if (words.Length < 2)
                    continue;
                switch (words[0])
                {
                    case "nameserver": servers.Add(words[1]); break;
                    case "search": searches = [.. words.Skip(1).Where(w => w != ".")]; break;
                    case "options": options.AddRange(words.Skip(1)); break;
                }
            }
        if (spec.DnsConfig is { } config)
        {
            servers.AddRange((config.Nameservers ?? []).Where(s => !servers.Contains(s)));
            searches.AddRange((config.Searches ?? []).Where(s => !searches.Contains(s)));
            foreach (PodDnsConfigOption option in config.Options ?? [])
            {
                options.RemoveAll(o => o.Split(':')[0] == option.Name);
                options.Add(string.IsNullOrEmpty(option.Value) ? option.Name : $"{option.Name}:{option.Value}");
            }
        }
        var text = new StringBuilder();
        if (searches.Count > 0)
            text.Append("search ").AppendJoin(' ', searches.Take(32)).Append('\n');
        foreach (string server in servers.Take(3))
            text.Append("nameserver ").Append(server).Append('\n');
        if (options.Count > 0)
            text.Append("options ").AppendJoin(' ', options).Append('\n');
        return text.ToString();
    }

    /// <summary>The node's own resolver file: the real servers when /etc/resolv.conf names only a local stub.</summary>
    public static string ReadHostResolv()
    {
        const string Stubless = "/run/systemd/resolve/resolv.conf";
        string text = File.Exists("/etc/resolv.conf") ? File.ReadAllText("/etc/resolv.conf") : "";
        return text.Contains("nameserver 127.0.0.53", StringComparison.Ordinal) && File.Exists(Stubless) ? File.ReadAllText(Stubless) : text;
    }
}
