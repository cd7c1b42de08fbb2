using System.Buffers;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Arrays as long as the fleet, lent for one plan: made anew for each, they would make the collector go through everything that
/// the process holds. They may be longer than asked for, and hold what was in them.
/// </summary>
internal sealed class Pool : IDisposable
{
    private readonly List<int[]> _ints = [];
    private readonly List<uint[]> _uints = [];
    private readonly List<long[]> _longs = [];
    private readonly List<ulong[]> _ulongs = [];
    private readonly List<bool[]> _bools = [];

    public int[] Ints(int length) => Lend(_ints, length);

    public uint[] Uints(int length) => Lend(_uints, length);

    public long[] Longs(int length) => Lend(_longs, length);

    public ulong[] Ulongs(int length) => Lend(_ulongs, length);

    public bool[] Bools(int length) => Lend(_bools, length);

    public void Dispose()
    {
        Return(_ints);
        Return(_uints);
        Return(_longs);
        Return(_ulongs);
        Return(_bools);
    }

    private static T[] Lend<T>(List<T[]> lent, int length)
    {
        T[] array = ArrayPool<T>.Shared.Rent(length);
        lent.Add(array);
        return array;
    }

    private static void Return<T>(List<T[]> lent)
    {
        foreach (T[] array in lent)
            ArrayPool<T>.Shared.Return(array);
        lent.Clear();
    }
}
