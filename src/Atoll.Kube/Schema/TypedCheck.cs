using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Kube.Schema;

/// <summary>
/// The last gate before the store: what Atoll's own controllers read as a type must be readable as that type, for one
/// document that is not would stop each of them at each look.
/// </summary>
internal static class TypedCheck
{
    private static readonly Dictionary<ResourceType, JsonTypeInfo> s_types = new()
    {
        [Kinds.Pod] = ApiJson.Default.Pod,
        [Kinds.Node] = ApiJson.Default.Node,
        [Kinds.Deployment] = ApiJson.Default.Deployment,
        [Kinds.ReplicaSet] = ApiJson.Default.ReplicaSet,
        [Kinds.DaemonSet] = ApiJson.Default.DaemonSet,
        [Kinds.StatefulSet] = ApiJson.Default.StatefulSet,
        [Kinds.ControllerRevision] = ApiJson.Default.ControllerRevision,
        [Kinds.Job] = ApiJson.Default.Job,
        [Kinds.Service] = ApiJson.Default.Service,
        [Kinds.ConfigMap] = ApiJson.Default.ConfigMap,
        [Kinds.Secret] = ApiJson.Default.Secret,
        [Kinds.ServiceAccount] = ApiJson.Default.ServiceAccount,
        [Kinds.Event] = ApiJson.Default.Event,
        [Kinds.Lease] = ApiJson.Default.Lease,
        [Kinds.RuntimeClass] = ApiJson.Default.RuntimeClass,
        [Kinds.PriorityClass] = ApiJson.Default.PriorityClass,
        [Kinds.Site] = ApiJson.Default.Site,
        [Kinds.PodGroup] = ApiJson.Default.PodGroup,
        [Kinds.ElasticQuota] = ApiJson.Default.ElasticQuota,
        [Kinds.Reservation] = ApiJson.Default.Reservation,
        [Kinds.SchedulerProfile] = ApiJson.Default.SchedulerProfile,
        [Kinds.Flavour] = ApiJson.Default.FlavourDefinition,
        [Kinds.CpuModel] = ApiJson.Default.CpuModel,
        [Kinds.Delivery] = ApiJson.Default.Delivery,
    };

    public static void Validate(ResourceType type, JsonObject document, FieldErrors errors)
    {
        if (!s_types.TryGetValue(type, out JsonTypeInfo? info))
            return;
        try
        {
            document.Deserialize(info);
        }
        catch (JsonException e)
        {
            FieldPath path = FieldPath.Root;
            foreach (string part in (e.Path ?? "$").TrimStart('$').Split('.', StringSplitOptions.RemoveEmptyEntries))
                path = path.Child(part);
            errors.TypeInvalid(path, null, "cannot be read as this field's type; see kubectl explain for what it holds");
        }
    }
}
