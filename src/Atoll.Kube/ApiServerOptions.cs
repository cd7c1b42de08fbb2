using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Atoll.Kube.Access;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.Kube;

/// <summary>How an <see cref="ApiServer"/> is set up. Limits are published in docs/SPECIFICATION.md.</summary>
public sealed record ApiServerOptions
{
    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Source of UIDs and generated names.</summary>
    public IUidSource Uids { get; init; } = SystemUidSource.Instance;

    /// <summary>Where unexpected failures are logged; bodies and tokens never are.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>True (centre) makes the namespaces default, kube-system, kube-public and kube-node-lease and the two system PriorityClasses at start.</summary>
    public bool CreateDefaultNamespaces { get; init; }

    /// <summary>True (centre) refuses objects in a namespace that does not exist.</summary>
    public bool NamespacesMustExist { get; init; } = true;

    /// <summary>Asked in order for the identity of an HTTP request.</summary>
    public IReadOnlyList<IAuthenticator> Authenticators { get; init; } = [];

    /// <summary>Who may do what; null is <see cref="SiteAccessPolicy"/>.</summary>
    public IAccessPolicy? Access { get; init; }

    /// <summary>Last word on writes of identities that are not trusted: a status refuses.</summary>
    public Func<WriteAttempt, ApiStatus?>? WritePolicy { get; init; }

    /// <summary>Logs, exec, attach and port-forward of pods on this node.</summary>
    public IPodStreams? PodStreams { get; init; }

    /// <summary>
    /// Carries a log, exec, attach or portforward request to where the pod runs (context, pod, subresource); tried when
    /// <see cref="PodStreams"/> is null. A returned status has not been written yet.
    /// </summary>
    public Func<HttpContext, KubeObject, string, Task<ApiStatus?>>? PodProxy { get; init; }

    /// <summary>Version of Kubernetes' API that /version reports.</summary>
    public string GitVersion { get; init; } = "v1.32.0+atoll";

    /// <summary>Answers /readyz beside the server's own state; null is ready.</summary>
    public Func<bool>? IsReady { get; init; }

    /// <summary>Largest request body, bytes.</summary>
    public int MaxBodyBytes { get; init; } = 3 * 1024 * 1024;

    /// <summary>Largest object, bytes of JSON.</summary>
    public int MaxObjectBytes { get; init; } = 1536 * 1024;

    /// <summary>How many changes of one resource are kept for watches that start in the past.</summary>
    public int WatchHistoryEvents { get; init; } = 1024;

    /// <summary>How many events a watcher may fall behind before it is closed with 410.</summary>
    public int WatchBufferEvents { get; init; } = 4096;

    /// <summary>Pause between bookmarks of an idle watch.</summary>
    public TimeSpan BookmarkInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A watch without timeoutSeconds ends after this.</summary>
    public TimeSpan MaxWatchTime { get; init; } = TimeSpan.FromMinutes(60);

    /// <summary>How long events are kept.</summary>
    public TimeSpan EventTtl { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How many events are kept in one namespace; the oldest go first.</summary>
    public int MaxEventsPerNamespace { get; init; } = 5000;
}
