using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;

namespace Atoll.Orchestration.Namespaces;

/// <summary>Keeps a ServiceAccount <c>default</c> in every namespace that is not ending.</summary>
internal sealed class ServiceAccountController : Controller
{
    private const string Default = "default";

    public ServiceAccountController(Cluster cluster) : base(cluster, 1)
    {
        cluster.Of(Kinds.Namespace).Listen((_, now) =>
        {
            if (now is not null)
                Queue.Add(now.Key);
        });
        cluster.Of(Kinds.ServiceAccount).Listen((old, now) =>
        {
            if (now is null && old!.Name == Default)
                Queue.Add(old.Namespace);
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.Namespace).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.Namespace).Get(key) is not { IsDeleting: false } || Cluster.Of(Kinds.ServiceAccount).Get($"{key}/{Default}") is not null)
            return Next.Done;
        var document = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "ServiceAccount", ["metadata"] = new JsonObject { ["name"] = Default, ["namespace"] = key } };
        ApiResult result = await Cluster.CreateAsync(Kinds.ServiceAccount, key, document, cancellation).ConfigureAwait(false);
        return result.Ok || result.IsAlreadyExists || Pods.PodBatch.IsNamespaceEnding(result.Error) ? Next.Done : Next.Retry;
    }
}
