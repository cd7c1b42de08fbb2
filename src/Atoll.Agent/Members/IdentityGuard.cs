using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Runtimes.Containers;
using Atoll.Link.Members;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Members;

/// <summary>
/// Keeps pods with an identity (StatefulSets) from running on a node that holds no lease for them: the agent's part starts none, and ends
/// what runs should the supervisor, whose work that is, be gone.
/// </summary>
internal sealed class IdentityGuard(SiteLead lead, bool supervised, string state, string run, TimeProvider time, ILogger log)
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(500);

    /// <summary>Why a pod may not be started now, or null.</summary>
    public string? Hold(KubeObject pod)
    {
        if (lead.IdentityLease == TimeSpan.Zero || !pod.Metadata.HasIdentity())
            return null;
        if (pod.Metadata.Annotation(WellKnown.FencingAnnotation) is not null)
            return "the pod was moved here from a node that fell silent, and a majority of the site's nodes has to know of it first";
        if (!supervised)
            return "this node was started without a supervisor, which would stop the pod should the node fall silent: start it with 'atoll-agent supervise', or all nodes of the site with --identity-lease 0";
        return IdentityLease.MayStart(LeaseFile.Read(run), lead.Position, LeaseFile.NowMs) ? null
            : "this node has not heard from the site's leading node for so long that the pod may run on another";
    }

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        if (lead.IdentityLease == TimeSpan.Zero)
            await Task.Delay(Timeout.InfiniteTimeSpan, time, cancellation);
        IdentityContainers containers = Containers(state, run, lead.Self.Name);
        while (true)
        {
            if (LeaseFile.Read(run).UntilMs <= LeaseFile.NowMs && containers.Kill() is > 0 and int killed)
                log.LogWarning("This node's lease for pods of StatefulSets has ended: {Count} of their processes were ended", killed);
            await Task.Delay(s_look, time, cancellation);
        }
    }

    /// <summary>Ends the containers of pods with an identity, unless the node has a lease again.</summary>
    public static async Task EndAsync(string state)
    {
        if (SupervisorFile.Read(state) is not { LeaseSeconds: > 0 } file)
            return;
        for (int i = 0; i < 40 && LeaseFile.Read(file.Run).UntilMs <= LeaseFile.NowMs; i++)
        {
            int killed = Containers(state, file.Run, file.Node).Kill();
            if (killed == 0)
                break;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{TimeProvider.System.GetUtcNow():O} warn Atoll.Sentry: {killed} processes of pods of StatefulSets were ended: this node's lease for them has ended"));
            await Task.Delay(TimeSpan.FromMilliseconds(250), TimeProvider.System);
        }
    }

    /// <summary>The containers of a node, by the folders of its agent.</summary>
    public static IdentityContainers Containers(string state, string run, string node) =>
        new(new ContainerRuntimeOptions { Node = node, StateFolder = Path.Combine(state, "instances"), RunFolder = Path.Combine(run, "instances") });
}
