using Atoll.Api.Objects;

namespace Atoll.Api.Core;

/// <summary>edge.atoll.dev/v1alpha1 Flavour: a size that is sold. A pod with the label <c>edge.atoll.dev/flavour</c> is made of it.</summary>
public sealed class FlavourDefinition
{
    /// <summary>Always <c>edge.atoll.dev/v1alpha1</c>.</summary>
    public string ApiVersion { get; set; } = "edge.atoll.dev/v1alpha1";

    /// <summary>Always <c>Flavour</c>.</summary>
    public string Kind { get; set; } = "Flavour";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What one instance is.</summary>
    public FlavourSpec Spec { get; set; } = new();
}

/// <summary>What one instance of a flavour is.</summary>
public sealed class FlavourSpec
{
    /// <summary>What one instance takes, by Kubernetes' names and units.</summary>
    public Dictionary<string, string>? Resources { get; set; }

    /// <summary>Architecture, such as <c>amd64</c>; null is any.</summary>
    public string? Arch { get; set; }

    /// <summary>Lowest instruction set, such as <c>x86-64-v3</c>; null is any.</summary>
    public string? CpuLevel { get; set; }

    /// <summary>NUMA nodes that an instance is laid over: 1, or 2 with half on each; null or 0 does not care.</summary>
    public int? Numa { get; set; }

    /// <summary>Models of GPU that will do; null or empty is any.</summary>
    public List<string>? GpuModels { get; set; }

    /// <summary>RuntimeClass of its pods: the form; null is a container.</summary>
    public string? RuntimeClassName { get; set; }
}

/// <summary>edge.atoll.dev/v1alpha1 CPUModel: what a core of a model of processor is worth.</summary>
public sealed class CpuModel
{
    /// <summary>Always <c>edge.atoll.dev/v1alpha1</c>.</summary>
    public string ApiVersion { get; set; } = "edge.atoll.dev/v1alpha1";

    /// <summary>Always <c>CPUModel</c>.</summary>
    public string Kind { get; set; } = "CPUModel";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>Which processors, and their worth.</summary>
    public CpuModelSpec Spec { get; set; } = new();
}

/// <summary>Which processors, and their worth.</summary>
public sealed class CpuModelSpec
{
    /// <summary>The model's name as the kernel tells it; one <c>*</c> at its end stands for any rest. The longest that matches counts.</summary>
    public string Match { get; set; } = "";

    /// <summary>Compute units of one core, 0.01 to 100. A model without an entry has 1.</summary>
    public double Factor { get; set; } = 1;
}
