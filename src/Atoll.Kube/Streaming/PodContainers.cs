using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Kube.Streaming;

/// <summary>Which container of a pod a request means, in Kubernetes' words when it is none.</summary>
internal static class PodContainers
{
    /// <summary>Gives the container's name, or why there is none.</summary>
    public static ApiStatus? Choose(KubeObject pod, string? asked, out string container)
    {
        PodSpec spec = pod.View(ApiJson.Default.Pod).Spec;
        List<Container> init = spec.InitContainers ?? [];
        container = asked ?? "";
        if (!string.IsNullOrEmpty(asked))
            return spec.Containers.Exists(c => c.Name == asked) || init.Exists(c => c.Name == asked)
                ? null
                : ApiStatus.BadRequest($"container {asked} is not valid for pod {pod.Name}");
        if (spec.Containers.Count == 1)
        {
            container = spec.Containers[0].Name;
            return null;
        }
        string message = $"a container name must be specified for pod {pod.Name}";
        if (spec.Containers.Count > 0)
            message += $", choose one of: [{Names(spec.Containers)}]";
        if (init.Count > 0)
            message += $" or one of the init containers: [{Names(init)}]";
        return ApiStatus.BadRequest(message);
    }

    private static string Names(List<Container> containers) => string.Join(' ', containers.Select(c => c.Name));
}
