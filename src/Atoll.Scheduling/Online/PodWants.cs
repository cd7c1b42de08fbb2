using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>How a pod is laid over NUMA nodes.</summary>
internal enum NumaPolicy
{
    Any,
    Single,
    Split,
}

/// <summary>What a pod asks for outside its spec's requests, selectors and constraints; null for nearly all pods.</summary>
internal sealed record PodWants(bool Whole, NumaPolicy Numa, string? Devices, string? Preference, bool Headroom)
{
    /// <summary>RuntimeClass whose pods take a whole node.</summary>
    public const string MetalClass = "metal";

    /// <summary>Tells classes of pods apart.</summary>
    public string Key => $"{(Whole ? 'w' : '-')}{(int)Numa}{(Headroom ? 'h' : '-')}{Devices}\u0007{Preference}";

    public static PodWants? Of(KubeObject pod, PodSpec spec)
    {
        bool whole = spec.RuntimeClassName == MetalClass, headroom = MayUseHeadroom(pod);
        NumaPolicy numa = NumaPolicy.Any;
        string? devices = null, preference = null;
        if (pod.Metadata.Annotations is { Count: > 0 })
        {
            numa = pod.Metadata.Annotation(Flavours.NumaAnnotation) switch { "single" => NumaPolicy.Single, "split" => NumaPolicy.Split, _ => NumaPolicy.Any };
            devices = pod.Metadata.Annotation(Flavours.DeviceAnnotation);
            preference = pod.Metadata.Annotation(DeviceSelectors.PreferenceAnnotation);
        }
        return whole || headroom || numa != NumaPolicy.Any || devices is not null || preference is not null ? new PodWants(whole, numa, devices, preference, headroom) : null;
    }

    // Headroom is for replacements that a site made, and does not hold back what belongs to the node itself.
    private static bool MayUseHeadroom(KubeObject pod) =>
        (pod.Metadata.Labels is { Count: > 0 } && (pod.Metadata.Label(WellKnown.CreatedByLabel) == "site" || pod.Metadata.Label(WellKnown.ServiceLabel) is not null))
        || pod.Metadata.Controller() is { Kind: "DaemonSet" };
}
