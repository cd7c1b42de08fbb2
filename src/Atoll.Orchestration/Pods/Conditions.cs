using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;

namespace Atoll.Orchestration.Pods;

/// <summary>Reading and writing lists of conditions.</summary>
internal static class Conditions
{
    /// <summary>The condition of a type, or null.</summary>
    public static Condition? Get(IReadOnlyList<Condition>? conditions, string type)
    {
        if (conditions is not null)
            foreach (Condition condition in conditions)
                if (condition.Type == type)
                    return condition;
        return null;
    }

    /// <summary>True when the condition of a type holds.</summary>
    public static bool IsTrue(IReadOnlyList<Condition>? conditions, string type) => Get(conditions, type) is { Status: "True" };

    /// <summary>The list with a condition put in: a status that does not change keeps its transition time, one that changes nothing changes nothing.</summary>
    public static List<Condition> With(IReadOnlyList<Condition>? conditions, Condition wanted)
    {
        Condition? current = Get(conditions, wanted.Type);
        if (current is not null && current.Status == wanted.Status && current.Reason == wanted.Reason && current.Message == wanted.Message)
            return [.. conditions!];
        if (current is not null && current.Status == wanted.Status)
            wanted.LastTransitionTime = current.LastTransitionTime;
        List<Condition> list = Without(conditions, wanted.Type);
        list.Add(wanted);
        return list;
    }

    /// <summary>The list without a type.</summary>
    public static List<Condition> Without(IReadOnlyList<Condition>? conditions, string type) =>
        conditions is null ? [] : [.. conditions.Where(c => c.Type != type)];

    /// <summary>JSON of the list.</summary>
    public static JsonArray ToJson(IReadOnlyList<Condition> conditions)
    {
        var array = new JsonArray();
        foreach (Condition condition in conditions)
            array.Add(JsonSerializer.SerializeToNode(condition, ApiJson.Default.Condition));
        return array;
    }

    /// <summary>True when two lists say the same.</summary>
    public static bool Same(IReadOnlyList<Condition>? left, IReadOnlyList<Condition>? right)
    {
        if ((left?.Count ?? 0) != (right?.Count ?? 0))
            return false;
        for (int i = 0; i < (left?.Count ?? 0); i++)
            if (!JsonNode.DeepEquals(JsonSerializer.SerializeToNode(left![i], ApiJson.Default.Condition), JsonSerializer.SerializeToNode(right![i], ApiJson.Default.Condition)))
                return false;
        return true;
    }

    /// <summary>A count as Kubernetes writes it: nothing for zero.</summary>
    public static JsonNode? Count(int number) => number == 0 ? null : JsonValue.Create(number);
}
