using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace Atoll.Kube.Resources;

/// <summary>
/// A pod's document with its first binding put in, without building a tree: thousands are bound a second, and of a pod that was
/// just made nothing else changes. Pods that look any different are left to the long way, which also says what is wrong.
/// </summary>
internal static class BoundPod
{
    /// <summary>The document with node, condition and generation, without its version; null when this is not such a pod.</summary>
    public static byte[]? Of(ReadOnlySpan<byte> pod, string node, string now)
    {
        if (pod.IndexOf("\"schedulingGates\":"u8) >= 0 || pod.IndexOf("\"deletionTimestamp\":"u8) >= 0 || pod.IndexOf("\"conditions\":"u8) >= 0)
            return null;
        var reader = new Utf8JsonReader(pod);
        int versionStart = -1, versionEnd = 0, generationStart = -1, generationEnd = 0, specEnd = -1, statusEnd = -1;
        long generation = 0;
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool metadata = reader.ValueTextEquals("metadata"u8), spec = reader.ValueTextEquals("spec"u8), status = reader.ValueTextEquals("status"u8);
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject || !(metadata || spec || status))
            {
                reader.Skip();
                continue;
            }
            int members = 0;
            for (; reader.Read() && reader.TokenType == JsonTokenType.PropertyName; members++)
            {
                int start = (int)reader.TokenStartIndex;
                bool version = metadata && reader.ValueTextEquals("resourceVersion"u8), counted = metadata && reader.ValueTextEquals("generation"u8);
                if (spec && reader.ValueTextEquals("nodeName"u8))
                    return null;
                reader.Read();
                int value = (int)reader.TokenStartIndex;
                if (counted && reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out generation))
                    (generationStart, generationEnd) = (value, (int)reader.BytesConsumed);
                reader.Skip();
                // A comma goes with it: the version stands first, and something follows.
                if (version && members == 0 && pod[(int)reader.BytesConsumed] == (byte)',')
                    (versionStart, versionEnd) = (start, (int)reader.BytesConsumed + 1);
            }
            if (members == 0)
                return null;
            specEnd = spec ? (int)reader.TokenStartIndex : specEnd;
            statusEnd = status ? (int)reader.TokenStartIndex : statusEnd;
        }
        return versionStart < 0 || generationStart < versionEnd || specEnd < generationEnd || statusEnd < specEnd
            ? null
            : Splice(pod, versionStart, versionEnd, generationStart, generationEnd, generation + 1, specEnd, statusEnd, node, now);
    }

    private static byte[] Splice(ReadOnlySpan<byte> pod, int versionStart, int versionEnd, int generationStart, int generationEnd, long generation, int specEnd, int statusEnd, string node, string now)
    {
        var bytes = new ArrayBufferWriter<byte>(pod.Length + 256);
        bytes.Write(pod[..versionStart]);
        bytes.Write(pod[versionEnd..generationStart]);
        Utf8Formatter.TryFormat(generation, bytes.GetSpan(20), out int digits);
        bytes.Advance(digits);
        bytes.Write(pod[generationEnd..specEnd]);
        bytes.Write(",\"nodeName\":\""u8);
        bytes.Write(JsonEncodedText.Encode(node).EncodedUtf8Bytes);
        bytes.Write("\""u8);
        bytes.Write(pod[specEnd..statusEnd]);
        bytes.Write(",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":\""u8);
        bytes.Write(Encoding.UTF8.GetBytes(now));
        bytes.Write("\"}]"u8);
        bytes.Write(pod[statusEnd..]);
        return bytes.WrittenSpan.ToArray();
    }
}
