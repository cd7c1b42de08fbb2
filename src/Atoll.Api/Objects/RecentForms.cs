namespace Atoll.Api.Objects;

/// <summary>
/// Bounds what parsed forms of stored objects cost. A parsed pod is several times its bytes; most are looked at when they change
/// and then not for a long time. So the forms of those that were read last are kept, and one that falls out is parsed again
/// when somebody asks. Nobody notices but the memory.
/// </summary>
public static class RecentForms
{
    /// <summary>How many are kept unless the program says otherwise: enough for a site.</summary>
    public const int DefaultCapacity = 512;

    private static KubeObject?[] s_ring = new KubeObject?[DefaultCapacity];
    private static uint s_next;

    /// <summary>Sets how many objects keep their parsed form; at least 1. Called once, at the start of a program that holds many (a centre).</summary>
    public static void SetCapacity(int objects)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(objects, 1);
        Volatile.Write(ref s_ring, new KubeObject?[objects]);
    }

    internal static void Keep(KubeObject value)
    {
        KubeObject?[] ring = Volatile.Read(ref s_ring);
        uint at = Interlocked.Increment(ref s_next) % (uint)ring.Length;
        Interlocked.Exchange(ref ring[at], value)?.Forget();
    }
}
