using System.Text.Json;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Api.Core;

/// <summary>What a node is made of, beyond Kubernetes' capacity: <c>status.edge</c> of a Node, an outcome written by its site.</summary>
public sealed class NodeEdge
{
    /// <summary>Model of the processor, as the kernel tells it.</summary>
    public string? CpuModel { get; set; }

    /// <summary>Highest instruction set that the processor has, such as <c>x86-64-v3</c>.</summary>
    public string? CpuLevel { get; set; }

    /// <summary>NUMA nodes.</summary>
    public List<NumaNode>? Numa { get; set; }

    /// <summary>Devices, one by one.</summary>
    public List<NodeDevice>? Devices { get; set; }

    /// <summary>Architectures of images, as the node found them when it pulled: of those that it has, and lately of those that had none for it.</summary>
    public List<NodeImage>? Images { get; set; }

    /// <summary>Digest of the CA certificates that the node trusts: a rotation of the CA waits for each node of a site.</summary>
    public string? Trust { get; set; }
}

/// <summary>For which architectures an image is there.</summary>
public sealed class NodeImage
{
    /// <summary>Full name with registry and tag, or digest.</summary>
    public string Name { get; set; } = "";

    /// <summary>Architectures, such as <c>amd64</c>.</summary>
    public List<string> Architectures { get; set; } = [];
}

/// <summary>A NUMA node of a machine.</summary>
public sealed class NumaNode
{
    /// <summary>Number of the kernel.</summary>
    public int Id { get; set; }

    /// <summary>Its processors, as the kernel lists them, such as <c>0-7,16-23</c>.</summary>
    public string Cpus { get; set; } = "";

    /// <summary>Cores that may be given to aligned pods, as a quantity.</summary>
    public string Cpu { get; set; } = "0";

    /// <summary>Memory that may be given to aligned pods, as a quantity.</summary>
    public string Memory { get; set; } = "0";
}

/// <summary>One device of a node.</summary>
public sealed class NodeDevice
{
    /// <summary>Extended resource that it counts in, such as <c>edge.atoll.dev/gpu</c>.</summary>
    public string Resource { get; set; } = "";

    /// <summary>Its name on the node.</summary>
    public string Id { get; set; } = "";

    /// <summary>NUMA node that it hangs on; null is unknown.</summary>
    public int? Numa { get; set; }

    /// <summary>What it is: model, memory, … as labels that pods select by.</summary>
    public Dictionary<string, string>? Attributes { get; set; }
}

/// <summary>
/// What of a node a pod was given: written on the pod at its binding, as the annotation <c>edge.atoll.dev/allocation</c>, and
/// honoured by the agent.
/// </summary>
public sealed class Allocation
{
    /// <summary>The annotation.</summary>
    public const string Annotation = "edge.atoll.dev/allocation";

    /// <summary>NUMA nodes that the pod is held to; null is all.</summary>
    public List<int>? Numa { get; set; }

    /// <summary>Devices by resource, in the order of its names.</summary>
    public SortedDictionary<string, List<string>>? Devices { get; set; }

    /// <summary>Cores of this node that the pod's normalised cores come to, in thousandths.</summary>
    public long? CpuMilli { get; set; }

    /// <summary>The allocation of a pod; null when it has none, or one that cannot be read.</summary>
    public static Allocation? Of(KubeObject pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        return Parse(pod.Metadata.Annotation(Annotation));
    }

    /// <summary>Reads the annotation's text; null when there is none, or it cannot be read.</summary>
    public static Allocation? Parse(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return null;
        try
        {
            return JsonSerializer.Deserialize(text, ApiJson.Default.Allocation);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => JsonSerializer.Serialize(this, ApiJson.Default.Allocation);
}

/// <summary>Attributes that a pod's devices must or should have: an annotation with a label selector for each resource.</summary>
public static class DeviceSelectors
{
    /// <summary>Annotation: attributes that devices should have, in the same form as <see cref="Flavours.DeviceAnnotation"/>.</summary>
    public const string PreferenceAnnotation = "edge.atoll.dev/device-preference";

    /// <summary>Reads <c>RESOURCE: SELECTOR; RESOURCE: SELECTOR</c>. False with the reason when it is not understood.</summary>
    public static bool TryParse(string? text, out Dictionary<string, LabelSelector> selectors, out string? error)
    {
        selectors = new Dictionary<string, LabelSelector>(StringComparer.Ordinal);
        error = null;
        foreach (string part in (text ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            int colon = part.IndexOf(':', StringComparison.Ordinal);
            string resource = colon < 0 ? part : part[..colon].Trim();
            if (colon <= 0 || LabelSyntax.KeyError(resource) is not null)
            {
                error = $"\"{part}\" is not understood: write RESOURCE: SELECTOR, such as edge.atoll.dev/gpu: model in (A100,H100)";
                return false;
            }
            if (!LabelSelectorParser.TryParse(part[(colon + 1)..], out LabelSelector selector, out error))
                return false;
            if (!selectors.TryAdd(resource, selector))
            {
                error = $"{resource} is there twice";
                return false;
            }
        }
        return true;
    }
}
