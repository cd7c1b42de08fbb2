using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Content;
using Atoll.Edge.Networks;
using Atoll.Edge.Runtimes;
using Microsoft.Extensions.Logging;

namespace Atoll.Edge.Instances;

/// <summary>What pod workers share.</summary>
internal sealed class NodeServices
{
    public required NodeControlOptions Options { get; init; }
    public required IResources Resources { get; init; }
    public required IRuntime Runtime { get; init; }
    public required IImages Images { get; init; }
    public required IPodNetwork Network { get; init; }
    public required PodReferences References { get; init; }
    public required TimeProvider Time { get; init; }
    public required EventRecorder Events { get; init; }
    public required ProbeWheel Probes { get; init; }
    public required ProbeRunner Runner { get; init; }
    public required InstanceSpecs Specs { get; init; }
    public required ILogger Log { get; init; }
    public required Func<NodeFacts> Node { get; init; }

    /// <summary>Whether the node takes a pod: null reason is yes, null is not known yet.</summary>
    public required Func<Pod, (string? Reason, string? Message)?> Admit { get; init; }

    /// <summary>
    /// Starts going on at once, two a core: after a reboot all pods want to start, and more at a time only make each slower
    /// and the memory peak higher.
    /// </summary>
    public SemaphoreSlim Starts { get; } = new(Math.Max(2, Environment.ProcessorCount * 2));

    /// <summary>When this agent began: ends from before are not waited for, as after a reboot.</summary>
    public required DateTimeOffset Since { get; init; }

    /// <summary>Name of the runtime in container ids.</summary>
    public string RuntimeName { get; set; } = "unknown";

    public void Tell(KubeObject pod, bool warning, string reason, string message, string? container = null)
    {
        if (pod.Metadata.Name is null)
            return;
        string? field = container is null ? null : $"spec.containers{{{container}}}";
        if (warning)
            Events.Warning(pod, reason, message, field);
        else
            Events.Normal(pod, reason, message, field);
    }
}
