using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Atoll.Api.Core;
using Atoll.Api.Enrolment;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Api;

/// <summary>Source-generated JSON of every view: no reflection, so that the agent can be compiled ahead of time.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(KubeTimeConverter), typeof(IntOrStringConverter)])]
[JsonSerializable(typeof(ObjectHead))]
[JsonSerializable(typeof(ObjectMeta))]
[JsonSerializable(typeof(OwnerReference))]
[JsonSerializable(typeof(ApiStatus))]
[JsonSerializable(typeof(LabelSelector))]
[JsonSerializable(typeof(Pod))]
[JsonSerializable(typeof(PodTemplate))]
[JsonSerializable(typeof(Node))]
[JsonSerializable(typeof(Deployment))]
[JsonSerializable(typeof(ReplicaSet))]
[JsonSerializable(typeof(DaemonSet))]
[JsonSerializable(typeof(StatefulSet))]
[JsonSerializable(typeof(ControllerRevision))]
[JsonSerializable(typeof(Job))]
[JsonSerializable(typeof(Service))]
[JsonSerializable(typeof(ConfigMap))]
[JsonSerializable(typeof(Secret))]
[JsonSerializable(typeof(ServiceAccount))]
[JsonSerializable(typeof(Event))]
[JsonSerializable(typeof(Lease))]
[JsonSerializable(typeof(RuntimeClass))]
[JsonSerializable(typeof(PriorityClass))]
[JsonSerializable(typeof(PersistentVolume))]
[JsonSerializable(typeof(PersistentVolumeClaim))]
[JsonSerializable(typeof(StorageClass))]
[JsonSerializable(typeof(PodDisruptionBudget))]
[JsonSerializable(typeof(Site))]
[JsonSerializable(typeof(PodGroup))]
[JsonSerializable(typeof(ElasticQuota))]
[JsonSerializable(typeof(Reservation))]
[JsonSerializable(typeof(SchedulerProfile))]
[JsonSerializable(typeof(FlavourDefinition))]
[JsonSerializable(typeof(Allocation))]
[JsonSerializable(typeof(NodeEdge))]
[JsonSerializable(typeof(CpuModel))]
[JsonSerializable(typeof(Delivery))]
[JsonSerializable(typeof(Capacity))]
[JsonSerializable(typeof(DefragmentationPlan))]
[JsonSerializable(typeof(SchedulerProfileSpec))]
[JsonSerializable(typeof(Binding))]
[JsonSerializable(typeof(Eviction))]
[JsonSerializable(typeof(Scale))]
[JsonSerializable(typeof(JoinRequest))]
[JsonSerializable(typeof(RenewRequest))]
[JsonSerializable(typeof(JoinResponse))]
[JsonSerializable(typeof(JsonObject))]
[JsonSerializable(typeof(JsonNode))]
[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(Dictionary<string, string>))]
public sealed partial class ApiJson : JsonSerializerContext
{
    /// <summary>How documents are written: compact, escaping only what JSON asks for.</summary>
    public static JsonWriterOptions WriterOptions { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };
}
