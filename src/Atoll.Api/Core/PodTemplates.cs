using System.Buffers.Binary;
using System.Numerics;
using Atoll.Api.Objects;

namespace Atoll.Api.Core;

/// <summary>Which of many pods are of one template.</summary>
public static class PodTemplates
{
    private const int Most = 4096;

    /// <summary>
    /// Reads the fields of the pods in [from, to), and for each the place of one, the first mostly, that is of the same template. Parts
    /// of one list may be read by several threads.
    /// </summary>
    public static void Read(IReadOnlyList<KubeObject> pods, int from, int to, PodFields[] fields, int[] alike)
    {
        ArgumentNullException.ThrowIfNull(pods);
        ArgumentNullException.ThrowIfNull(fields);
        ArgumentNullException.ThrowIfNull(alike);
        int at = from;
        var first = new PodTemplates<int>(Most, _ => at);
        for (; at < to; at++)
        {
            fields[at] = PodFields.Of(pods[at]);
            alike[at] = first.Of(pods[at], fields[at]);
        }
    }
}

/// <summary>
/// What is the same for all pods of one template, made once: pods count as of one template when their namespace, labels, and every
/// byte of their spec but the node's name are equal, and both or none are being deleted. Bounded; not thread-safe.
/// </summary>
/// <param name="capacity">Most templates remembered; when there are more, all are forgotten.</param>
/// <param name="make">Makes it from one of the pods; must not depend on anything else of the pod.</param>
public sealed class PodTemplates<T>(int capacity, Func<KubeObject, T> make)
{
    private readonly Dictionary<Shape, T> _known = new(ShapeComparer.Instance);

    /// <summary>What the pod has in common with its like.</summary>
    public T Of(KubeObject pod, in PodFields fields)
    {
        ArgumentNullException.ThrowIfNull(pod);
        var shape = new Shape(pod, fields);
        if (_known.TryGetValue(shape, out T? known))
            return known;
        if (_known.Count >= capacity)
            _known.Clear();
        T made = make(pod);
        _known.Add(shape, made);
        return made;
    }

    /// <summary>Forgets all: what they were made from besides the pods has changed.</summary>
    public void Clear() => _known.Clear();

    private readonly struct Shape(KubeObject pod, PodFields fields)
    {
        private ReadOnlySpan<byte> Document => pod.Utf8.Span;

        private int NodeStart => fields.IsBound ? fields.NodeName.Start.Value : fields.Spec.End.Value;

        private int NodeEnd => fields.IsBound ? fields.NodeName.End.Value : fields.Spec.End.Value;

        private ReadOnlySpan<byte> Before => Document[fields.Spec.Start.Value..NodeStart];

        private ReadOnlySpan<byte> After => Document[NodeEnd..fields.Spec.End.Value];

        private ReadOnlySpan<char> Namespace
        {
            get
            {
                int slash = pod.Key.IndexOf('/', StringComparison.Ordinal);
                return pod.Key.AsSpan(0, Math.Max(0, slash));
            }
        }

        public bool Same(in Shape other) =>
            fields.IsDeleting == other.Deleting && Before.SequenceEqual(other.Before) && After.SequenceEqual(other.After)
            && Document[fields.Labels].SequenceEqual(other.LabelBytes) && Namespace.SequenceEqual(other.Namespace);

        private bool Deleting => fields.IsDeleting;

        private ReadOnlySpan<byte> LabelBytes => Document[fields.Labels];

        public int Hash() => (int)(Mixed(Mixed(Mixed(0, Before), After), LabelBytes) >> 32);

        // Eight bytes at a time: every pod of a fleet is hashed before a centre's first plan. Equality is decided by the bytes.
        private static ulong Mixed(ulong hash, ReadOnlySpan<byte> bytes)
        {
            hash ^= (ulong)bytes.Length;
            for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
                hash = BitOperations.RotateLeft((hash ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes)) * 0x9E3779B97F4A7C15, 29);
            foreach (byte b in bytes)
                hash = BitOperations.RotateLeft((hash ^ b) * 0x9E3779B97F4A7C15, 29);
            return hash;
        }
    }

    private sealed class ShapeComparer : IEqualityComparer<Shape>
    {
        public static ShapeComparer Instance { get; } = new();

        public bool Equals(Shape x, Shape y) => x.Same(y);

        public int GetHashCode(Shape value) => value.Hash();
    }
}
