using System.Text.Json;
using Atoll.Api.Objects;

namespace Atoll.Api.Core;

/// <summary>
/// Parsed specs of pods that wait for a node. They come in floods of one template, alike to the last byte of their specs, and a parsed
/// spec is a hundred small objects that the collector walks through: so pods with the same bytes have the same one. Bounded; safe to
/// share between threads.
/// </summary>
internal static class SharedSpecs
{
    private const int Slots = 64;

    private static readonly Known?[] s_known = new Known?[Slots];

    /// <summary>The typed reading of a stored pod. Throws <see cref="JsonException"/> as parsing it whole would.</summary>
    public static Pod Read(KubeObject pod)
    {
        PodFields fields = PodFields.Of(pod);
        ReadOnlySpan<byte> document = pod.Utf8.Span, spec = document[fields.Spec];
        if (fields.IsBound || spec.IsEmpty)
            return JsonSerializer.Deserialize(document, ApiJson.Default.Pod) ?? throw new JsonException("The document is null; an object is needed.");
        return new Pod
        {
            ApiVersion = pod.ApiVersion,
            Kind = pod.Kind,
            Metadata = pod.Metadata,
            Spec = SpecOf(spec),
            Status = document[fields.Status] is { IsEmpty: false } status ? JsonSerializer.Deserialize(status, ApiJson.Default.PodStatus) : null,
        };
    }

    private static PodSpec SpecOf(ReadOnlySpan<byte> bytes)
    {
        var hash = new HashCode();
        hash.AddBytes(bytes);
        ref Known? slot = ref s_known[(uint)hash.ToHashCode() % Slots];
        if (Volatile.Read(ref slot) is { } known && bytes.SequenceEqual(known.Bytes))
            return known.Spec;
        PodSpec spec = JsonSerializer.Deserialize(bytes, ApiJson.Default.PodSpec)!;
        Volatile.Write(ref slot, new Known(bytes.ToArray(), spec));
        return spec;
    }

    private sealed record Known(byte[] Bytes, PodSpec Spec);
}
