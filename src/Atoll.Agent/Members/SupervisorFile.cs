using System.Text.Json;
using System.Text.Json.Serialization;
using Atoll.Agent.Identity;

namespace Atoll.Agent.Members;

/// <summary>
/// What the agent writes down for the supervisor that outlives it: who this node is, under which key the site's beats are signed,
/// whom to send them to (itself is one of them), and how often; where the node's lease for pods with an identity is kept, and how long an answer prolongs it (0: there is none).
/// </summary>
internal sealed record SupervisorFile(string Node, string Key, IReadOnlyList<string> Peers, double DeadAfterSeconds, string Run = "", double LeaseSeconds = 0)
{
    public static string PathOf(string state) => Path.Combine(state, "supervisor.json");

    /// <summary>The file, or null while there is none that can be read.</summary>
    public static SupervisorFile? Read(string state)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(PathOf(state)), SupervisorJson.Default.SupervisorFile);
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public void Write(string state) => SiteIdentity.Write(PathOf(state), JsonSerializer.Serialize(this, SupervisorJson.Default.SupervisorFile));
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(SupervisorFile))]
internal sealed partial class SupervisorJson : JsonSerializerContext;
