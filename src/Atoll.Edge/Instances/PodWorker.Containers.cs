using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Content;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>Starting (pull, resolve, start), hooks, stopping.</summary>
internal sealed partial class PodWorker
{
    private Container? FindContainer(string name) => _pod.Spec.Containers.Find(c => c.Name == name) ?? _pod.Spec.InitContainers?.Find(c => c.Name == name);

    private async Task StartContainerAsync(StartContainer start, CancellationToken cancellation)
    {
        if (FindContainer(start.Name) is not { } container)
            return;
        ContainerWork work = Work(start.Name);
        ImageInfo? image = await ImageAsync(container, work, cancellation).ConfigureAwait(false);
        if (image is null)
            return;
        InstanceSpec spec;
        try
        {
            spec = _node.Specs.Make(_pod, container, start.Attempt, image, _node.Node(), _folders, _record.Addresses, _netns);
            Directory.CreateDirectory(_folders.LogFolder(start.Name));
        }
        catch (UnresolvedException e)
        {
            Wait(work, "CreateContainerConfigError", e.Message, _node.Options.RetryDelay * 5);
            _node.Tell(_object, true, "Failed", $"Error: {e.Message}", start.Name);
            return;
        }
        // From the moment it has its turn the start is not interrupted: a half-made instance would have to be found again.
        RuntimeOutcome outcome;
        await _node.Starts.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (await IsHeldAsync(cancellation).ConfigureAwait(false))
            {
                Wait(work, "HeldBack", "the pod may not be started on this node now", TimeSpan.FromSeconds(1));
                return;
            }
            outcome = await _node.Runtime.StartAsync(spec, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            _node.Starts.Release();
        }
        lock (_gate)
            _dirty.Add(spec.Id);
        if (outcome.Ok)
        {
            lock (_gate)
            {
                work.Wait = null;
                work.ImageId = InstanceSpecs.ImageId(container.Image ?? "", image);
            }
            _node.Tell(_object, false, "Created", $"Created container: {start.Name}", start.Name);
            _node.Tell(_object, false, "Started", $"Started container {start.Name}", start.Name);
            return;
        }
        _node.Tell(_object, true, "Failed", $"Error: {outcome.Message}", start.Name);
        if (outcome.Reason is "CreateContainerError" or "CreateContainerConfigError")
            Wait(work, outcome.Reason, outcome.Message ?? "", _node.Options.RetryDelay * 5);
        else
            lock (_gate)
            {
                DateTimeOffset now = _node.Time.GetUtcNow();
                work.Wait = null;
                work.StartFailure = new EndRecord(128, "StartError", outcome.Message, null, now, spec.Id);
            }
    }

    // The image may have taken minutes to come, and a mirror may be a moment late: for a pod of which there must never be two, the API is asked.
    private async ValueTask<bool> IsHeldAsync(CancellationToken cancellation)
    {
        if (_node.Options.Hold is not { } hold)
            return false;
        if (!_object.Metadata.HasIdentity() || hold(_object) is not null)
            return _object.Metadata.HasIdentity();
        KubeObject? now = (await _node.Resources.GetAsync(Kinds.Pod, _object.Namespace, _object.Name, cancellation).ConfigureAwait(false)).Object;
        return now?.Uid != Uid || hold(now) is not null;
    }

    private void Wait(ContainerWork work, string reason, string message, TimeSpan delay)
    {
        lock (_gate)
            work.Wait = new WaitFact(reason, message, _node.Time.GetUtcNow() + delay);
    }

    /// <summary>The image by the container's pull policy, or null with the reason left as a wait.</summary>
    private async Task<ImageInfo?> ImageAsync(Container container, ContainerWork work, CancellationToken cancellation)
    {
        string reference = container.Image ?? "";
        string policy = container.ImagePullPolicy ?? (HasFixedTag(reference) ? "IfNotPresent" : "Always");
        ImageInfo? local = await _node.Images.FindAsync(reference, cancellation).ConfigureAwait(false);
        if (local is not null && policy != "Always")
        {
            _node.Tell(_object, false, "Pulled", $"Container image \"{reference}\" already present on machine", container.Name);
            return local;
        }
        if (policy == "Never")
        {
            string message = $"Container image \"{reference}\" is not present with pull policy of Never";
            Wait(work, "ErrImageNeverPull", message, _node.Options.RetryDelay * 5);
            _node.Tell(_object, true, "ErrImageNeverPull", message, container.Name);
            return null;
        }
        DateTimeOffset now = _node.Time.GetUtcNow();
        if (work.PullBlockedUntil > now)
        {
            Wait(work, "ImagePullBackOff", $"Back-off pulling image \"{reference}\": {work.PullError}", work.PullBlockedUntil - now);
            _node.Tell(_object, false, "BackOff", $"Back-off pulling image \"{reference}\"", container.Name);
            return null;
        }
        return await PullAsync(container, reference, local, work, now, cancellation).ConfigureAwait(false);
    }

    private async Task<ImageInfo?> PullAsync(Container container, string reference, ImageInfo? local, ContainerWork work, DateTimeOffset begun, CancellationToken cancellation)
    {
        _node.Tell(_object, false, "Pulling", $"Pulling image \"{reference}\"", container.Name);
        IReadOnlyList<ImageCredential> credentials = PullSecrets.For(_pod, reference, _node.References);
        ImagePull pull = default!;
        for (int i = 0; i < Math.Max(1, credentials.Count); i++)
        {
            pull = await _node.Images.PullAsync(reference, credentials.Count > 0 ? credentials[i] : null, cancellation).ConfigureAwait(false);
            if (pull.Image is not null)
                break;
        }
        if (pull.Image is { } image)
        {
            TimeSpan took = _node.Time.GetUtcNow() - begun;
            work.PullBackoffSeconds = 0;
            _node.Tell(_object, false, "Pulled", string.Create(CultureInfo.InvariantCulture, $"Successfully pulled image \"{reference}\" in {took.TotalSeconds:0.###}s. Image size: {image.SizeBytes} bytes."), container.Name);
            return image;
        }
        if (local is not null && pull.Reason is "RegistryUnavailable")
        {
            // A site must live alone: what is here is used, and people are told.
            _node.Tell(_object, true, "PullSkipped", $"Registry of image \"{reference}\" is out of reach, using the image on this node: {pull.Message}", container.Name);
            return local;
        }
        string reason = pull.Reason is null or "RegistryUnavailable" ? "ErrImagePull" : pull.Reason; // People know it by this name.
        string error = pull.Message ?? "unknown error";
        _node.Tell(_object, true, "Failed", $"Failed to pull image \"{reference}\": {error}", container.Name);
        _node.Tell(_object, true, "Failed", $"Error: {reason}", container.Name);
        if (reason == "InvalidImageName")
        {
            Wait(work, reason, error, _node.Options.RestartBackoffMax);
            return null;
        }
        double seconds = work.PullBackoffSeconds == 0 ? _node.Options.RestartBackoff.TotalSeconds : Math.Min(work.PullBackoffSeconds * 2, _node.Options.RestartBackoffMax.TotalSeconds);
        work.PullBackoffSeconds = seconds;
        work.PullBlockedUntil = _node.Time.GetUtcNow().AddSeconds(seconds);
        work.PullError = $"{reason}: {error}";
        Wait(work, reason, error, _node.Options.RetryDelay);
        return null;
    }

    private static bool HasFixedTag(string reference)
    {
        if (reference.Contains('@', StringComparison.Ordinal))
            return true;
        int tag = reference.LastIndexOf(':');
        return tag > reference.LastIndexOf('/') && reference[(tag + 1)..] != "latest";
    }

    private async Task PostStartAsync(RunPostStart hook, CancellationToken cancellation)
    {
        if (FindContainer(hook.Name) is not { Lifecycle.PostStart: { } handler } container)
            return;
        ProbeOutcome outcome = await HookAsync(hook.InstanceId, container, handler, Timeout.InfiniteTimeSpan, cancellation).ConfigureAwait(false);
        lock (_gate)
        {
            ContainerWork work = Work(hook.Name);
            work.PostStartDone = true;
            work.PostStartError = outcome.Ok ? null : $"PostStartHook failed: {outcome.Message}";
        }
    }

    private async Task<ProbeOutcome> HookAsync(string instanceId, Container container, LifecycleHandler handler, TimeSpan limit, CancellationToken cancellation)
    {
        if (handler.Sleep is { } sleep)
        {
            TimeSpan wanted = TimeSpan.FromSeconds(sleep.Seconds);
            await Task.Delay(limit >= TimeSpan.Zero && limit < wanted ? limit : wanted, _node.Time, cancellation).ConfigureAwait(false);
            return new ProbeOutcome(true, "");
        }
        string host = _pod.Spec.HostNetwork == true ? _node.Node().HostIp : _record.Addresses.Count > 0 ? _record.Addresses[0] : "";
        return await _node.Runner.RunAsync(instanceId, container, handler.Exec, handler.HttpGet, handler.TcpSocket, host, limit, cancellation).ConfigureAwait(false);
    }

    private async Task StopContainerAsync(StopContainer stop, CancellationToken cancellation)
    {
        TimeSpan left = stop.Deadline - _node.Time.GetUtcNow();
        Container? container = FindContainer(stop.Name);
        if (stop.PreStop && container?.Lifecycle?.PreStop is { } handler && left > TimeSpan.Zero)
        {
            ProbeOutcome outcome = await HookAsync(stop.InstanceId, container, handler, left, cancellation).ConfigureAwait(false);
            if (!outcome.Ok)
                _node.Tell(_object, true, "FailedPreStopHook", "PreStopHook failed", stop.Name);
            left = stop.Deadline - _node.Time.GetUtcNow();
            // As in Kubernetes, a hook that used everything up still leaves the process a moment to hear the signal.
            if (left < TimeSpan.FromSeconds(2) && outcome.Ok)
                left = TimeSpan.FromSeconds(2);
        }
        int signal = 15;
        if (container?.Image is { } image && await _node.Images.FindAsync(image, cancellation).ConfigureAwait(false) is { } info)
            signal = info.StopSignal;
        RuntimeOutcome outcomeOfStop = await _node.Runtime.StopAsync(stop.InstanceId, signal, left > TimeSpan.Zero ? left : TimeSpan.Zero, cancellation).ConfigureAwait(false);
        lock (_gate)
            _dirty.Add(stop.InstanceId);
        if (!outcomeOfStop.Ok)
        {
            _node.Tell(_object, true, "FailedKillPod", $"error killing container {stop.Name}: {outcomeOfStop.Message}", stop.Name);
            await Task.Delay(_node.Options.RetryDelay, _node.Time, cancellation).ConfigureAwait(false);
        }
    }
}
