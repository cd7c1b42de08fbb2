using System.Text.Json.Nodes;

namespace Atoll.Kube.Http;

/// <summary>An Eviction in protobuf, as some versions of kubectl drain send it: only the grace period matters.</summary>
internal static class EvictionBody
{
    /// <summary>The eviction as JSON.</summary>
    public static JsonObject Read(ReadOnlyMemory<byte> body)
    {
        var eviction = new JsonObject { ["kind"] = "Eviction", ["apiVersion"] = "policy/v1" };
        // Eviction.deleteOptions is field 2, DeleteOptions.gracePeriodSeconds is field 1.
        if (ProtobufFields.TryUnwrap(body, out ReadOnlyMemory<byte> raw) && ProtobufFields.TryMessage(raw, 2, out ReadOnlyMemory<byte> options) && ProtobufFields.TryNumber(options, 1, out long grace))
            eviction["deleteOptions"] = new JsonObject { ["gracePeriodSeconds"] = grace };
        return eviction;
    }
}
