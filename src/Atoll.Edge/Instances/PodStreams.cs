using System.Net.Sockets;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Atoll.Edge.Networks;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>Logs, exec, attach and port-forward of this node's pods. Chooses container and attempt; errors are in Kubernetes' words.</summary>
internal sealed class PodStreams(NodeControlOptions options, IRuntime runtime, IPodNetwork network, TimeProvider time, Func<string, PodRecord?> records) : IPodStreams
{
    public async Task<ApiStatus?> LogsAsync(KubeObject pod, LogRequest request, Stream output, CancellationToken cancellation)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        if (Choose(view, request.Container, out string container) is { } wrong)
            return wrong;
        ContainerRecord? record = records(pod.Uid)?.Find(container);
        ContainerState? state = StateOf(view, container);
        int attempt = Attempt(record, state, request.Previous);
        var folders = new PodFolders(options.StateFolder, pod.Namespace, pod.Name, pod.Uid);
        if (attempt < 0 && request.Previous)
            return ApiStatus.BadRequest($"previous terminated container \"{container}\" in pod \"{pod.Name}\" not found");
        if (attempt < 0)
            return ApiStatus.BadRequest($"container \"{container}\" in pod \"{pod.Name}\" is waiting to start: {WaitText(state)}");
        var reader = new LogReader(folders.LogFolder(container), attempt, request, time);
        await reader.CopyAsync(output, () => records(pod.Uid)?.Find(container) is { Ended: null } now && now.Attempt == attempt, cancellation).ConfigureAwait(false);
        return null;
    }

    /// <summary>The attempt whose log is meant: the newest that was started, or the one before; -1 when there is none.</summary>
    private static int Attempt(ContainerRecord? record, ContainerState? state, bool previous)
    {
        if (record is null || record.Attempt < 0)
            return -1;
        bool begun = record.Launched || record.Ended is not null;
        if (!previous)
            return begun ? record.Attempt : record.Last is not null ? record.Attempt - 1 : -1;
        // While a restart is waited for, the attempt that just ended is "the last one", as lastState says.
        if (record.Ended is not null && state?.Waiting is not null)
            return record.Attempt;
        return record.Last is not null ? record.Attempt - 1 : -1;
    }

    private static string WaitText(ContainerState? state) => state?.Waiting?.Reason switch
    {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        null or "" => "ContainerCreating",
        string reason => reason,
    };

    private static ContainerState? StateOf(Pod pod, string container) =>
        pod.Status?.ContainerStatuses?.Find(c => c.Name == container)?.State ?? pod.Status?.InitContainerStatuses?.Find(c => c.Name == container)?.State;

    private static ApiStatus? Choose(Pod pod, string? asked, out string container)
    {
        container = asked ?? "";
        if (container.Length == 0 && pod.Metadata.Annotation("kubectl.kubernetes.io/default-container") is { Length: > 0 } preferred && Has(pod, preferred))
            container = preferred;
        if (container.Length == 0)
        {
            if (pod.Spec.Containers.Count != 1)
            {
                string init = pod.Spec.InitContainers is { Count: > 0 } list ? $" or one of the init containers: [{string.Join(' ', list.Select(c => c.Name))}]" : "";
                return ApiStatus.BadRequest($"a container name must be specified for pod {pod.Metadata.Name}, choose one of: [{string.Join(' ', pod.Spec.Containers.Select(c => c.Name))}]{init}");
            }
            container = pod.Spec.Containers[0].Name;
        }
        return Has(pod, container) ? null : ApiStatus.BadRequest($"container {container} is not valid for pod {pod.Metadata.Name}");
    }

    private static bool Has(Pod pod, string container) =>
        pod.Spec.Containers.Exists(c => c.Name == container) || pod.Spec.InitContainers?.Exists(c => c.Name == container) == true;

    public ApiStatus? Refusal(KubeObject pod, ExecRequest request, bool attach) => Running(pod, request.Container, attach ? "attach to" : "exec into").Error;

    public async Task<StreamStart<IProcessStreams>> ExecAsync(KubeObject pod, ExecRequest request, CancellationToken cancellation) =>
        Running(pod, request.Container, "exec into") is var (id, error) && error is not null ? error : await runtime.ExecAsync(id, request, cancellation).ConfigureAwait(false);

    public async Task<StreamStart<IProcessStreams>> AttachAsync(KubeObject pod, ExecRequest request, CancellationToken cancellation) =>
        Running(pod, request.Container, "attach to") is var (id, error) && error is not null ? error : await runtime.AttachAsync(id, request, cancellation).ConfigureAwait(false);

    private (string Id, ApiStatus? Error) Running(KubeObject pod, string? asked, string verb)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        if (view.Status?.Phase is "Succeeded" or "Failed")
            return ("", ApiStatus.BadRequest($"cannot {verb} a container in a completed pod; current phase is {view.Status.Phase}"));
        if (Choose(view, asked, out string container) is { } wrong)
            return ("", wrong);
        ContainerRecord? record = records(pod.Uid)?.Find(container);
        if (record is not { Attempt: >= 0, Launched: true, Ended: null })
            return ("", new ApiStatus { Code = 404, Reason = "NotFound", Message = $"container not found (\"{container}\")" });
        return (InstanceNames.Id(pod.Uid, container, record.Attempt), null);
    }

    public async Task<StreamStart<Stream>> PortForwardAsync(KubeObject pod, int port, CancellationToken cancellation)
    {
        if (records(pod.Uid) is not { FinalPhase: null } record || record.Addresses.Count == 0)
            return ApiStatus.BadRequest($"unable to forward port because pod is not running. Current status={pod.View(ApiJson.Default.Pod).Status?.Phase ?? "Pending"}");
        try
        {
            if (pod.View(ApiJson.Default.Pod).Spec.HostNetwork != true)
                return await network.ConnectAsync(pod.Uid, port, cancellation).ConfigureAwait(false);
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync("127.0.0.1", port, cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return ApiStatus.InternalError($"failed to connect to localhost:{port} inside namespace \"{pod.Uid}\": {((e as SocketException ?? e.InnerException as SocketException)?.SocketErrorCode is SocketError.ConnectionRefused ? "connection refused" : e.Message)}");
        }
    }
}
