namespace Atoll.Store.Sqlite;

/// <summary>One call that waits for the writer: a transaction with copies of all its bytes, a compaction, or word that it is calm.</summary>
internal sealed class WriteRequest
{
    private static readonly (byte[], long)[] s_noCompares = [];
    private static readonly (byte[], byte[]?)[] s_noWrites = [];

    public (byte[] Key, long ModRevision)[] Compares { get; private init; } = s_noCompares;

    public (byte[] Key, byte[]? Value)[] Writes { get; private init; } = s_noWrites;

    /// <summary>Bytes of the keys and values.</summary>
    public long Bytes { get; private init; }

    /// <summary>Compact up to here; 0 for a transaction.</summary>
    public long CompactTo { get; private init; }

    /// <summary>Nothing was asked for a while.</summary>
    public bool IsCalm { get; private init; }

    public TaskCompletionSource<StoreResult> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public static WriteRequest Calm() => new() { IsCalm = true };

    public static WriteRequest Compact(long to) => new() { CompactTo = to };

    /// <summary>A copy of a transaction: what the caller does with its buffers and lists afterwards changes nothing. Null when it is too large.</summary>
    public static WriteRequest? Of(StoreTransaction transaction, SqliteStoreOptions options)
    {
        ArgumentNullException.ThrowIfNull(transaction);
        ArgumentNullException.ThrowIfNull(transaction.Compares);
        ArgumentNullException.ThrowIfNull(transaction.Writes);
        int comparing = transaction.Compares.Count, writing = transaction.Writes.Count;
        if (comparing > options.MaxWrites || writing > options.MaxWrites)
            return null;
        long bytes = 0;
        var compares = new (byte[], long)[comparing];
        for (int i = 0; i < comparing; i++)
        {
            StoreCompare compare = transaction.Compares[i];
            bytes += compare.Key.Length;
            if (compare.Key.Length > options.MaxKeyBytes || bytes > options.MaxTransactionBytes)
                return null;
            compares[i] = (compare.Key.ToArray(), compare.ModRevision);
        }
        var writes = new (byte[] Key, byte[]? Value)[writing];
        for (int i = 0; i < writing; i++)
        {
            StoreWrite write = transaction.Writes[i];
            bytes += write.Key.Length + (write.Value?.Length ?? 0);
            if (write.Key.Length == 0 || write.Key.Length > options.MaxKeyBytes || write.Value?.Length > options.MaxValueBytes || bytes > options.MaxTransactionBytes)
                return null;
            writes[i] = (write.Key.ToArray(), write.Value?.ToArray());
        }
        ThrowIfRepeated(writes);
        return new WriteRequest { Compares = compares, Writes = writes, Bytes = bytes };
    }

    private static void ThrowIfRepeated((byte[] Key, byte[]? Value)[] writes)
    {
        if (writes.Length < 2)
            return;
        byte[][] keys = Array.ConvertAll(writes, static write => write.Key);
        Array.Sort(keys, static (a, b) => a.AsSpan().SequenceCompareTo(b));
        for (int i = 1; i < keys.Length; i++)
            if (keys[i].AsSpan().SequenceEqual(keys[i - 1]))
                throw new ArgumentException("a transaction may write each key once", "transaction");
    }
}
