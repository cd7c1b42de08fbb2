using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace Atoll.Simulation.Whole;

/// <summary>
/// A node's store on a disk that keeps what was flushed and may lose the rest: transactions are appended to a log as records with a
/// checksum, acknowledged after a flush that takes its time, and read again after a crash up to the first record that is torn.
/// </summary>
internal sealed class Disk(World world)
{
    private readonly MemoryStream _file = new();
    private readonly Queue<(long End, Action Durable)> _waiting = new();
    private readonly SortedDictionary<string, (byte[] Value, long Revision)> _values = new(StringComparer.Ordinal);
    private long _flushed;
    private int _life;
    private bool _flushing;

    /// <summary>What was written, flushed or not, with the revision that wrote it.</summary>
    public IReadOnlyDictionary<string, (byte[] Value, long Revision)> Values => _values;

    /// <summary>Told of each transaction that is found again after a crash.</summary>
    public Action<long, IReadOnlyList<(string Key, byte[]? Value)>>? Found { get; set; }

    /// <summary>One transaction: <paramref name="durable"/> is called when it cannot be lost any more.</summary>
    public void Commit(long revision, IReadOnlyList<(string Key, byte[]? Value)> writes, Action durable)
    {
        if (writes.Count > 0)
            Append(revision, writes);
        Put(revision, writes);
        _waiting.Enqueue((_file.Length, durable));
        Flush();
    }

    /// <summary>The process or the machine died: a part of what was not flushed is lost, perhaps in the middle of a record.</summary>
    public void Crash()
    {
        _life++;
        _flushing = false;
        _waiting.Clear();
        _file.SetLength(_flushed + world.Random.NextInt64(_file.Length - _flushed + 1));
        _values.Clear();
        Recover();
        _flushed = _file.Length;
    }

    /// <summary>The store is lost altogether.</summary>
    public void Lose()
    {
        Crash();
        _file.SetLength(0);
        _flushed = 0;
        _values.Clear();
    }

    private void Flush()
    {
        if (_flushing || _waiting.Count == 0)
            return;
        _flushing = true;
        int life = _life;
        long end = _file.Length;
        world.At(1 + world.Below(world.Chance(5) ? 300 : 15), () =>
        {
            if (life != _life)
                return;
            (_flushed, _flushing) = (end, false);
            while (life == _life && _waiting.TryPeek(out (long End, Action Durable) next) && next.End <= end)
            {
                _waiting.Dequeue();
                next.Durable();
            }
            if (life == _life)
                Flush();
        });
    }

    private void Append(long revision, IReadOnlyList<(string Key, byte[]? Value)> writes)
    {
        using var record = new MemoryStream();
        using (var writer = new BinaryWriter(record, Encoding.UTF8, leaveOpen: true))
        {
            writer.Write(revision);
            foreach ((string key, byte[]? value) in writes)
            {
                writer.Write(key);
                writer.Write(value?.Length ?? -1);
                writer.Write(value ?? []);
            }
        }
        Span<byte> head = stackalloc byte[12];
        BinaryPrimitives.WriteInt32LittleEndian(head, (int)record.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(head[4..], XxHash3.HashToUInt64(record.GetBuffer().AsSpan(0, (int)record.Length)));
        _file.Seek(0, SeekOrigin.End);
        _file.Write(head);
        record.WriteTo(_file);
    }

    private void Recover()
    {
        ReadOnlySpan<byte> file = _file.GetBuffer().AsSpan(0, (int)_file.Length);
        int at = 0;
        while (file.Length - at >= 12)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(file[at..]);
            if (length > file.Length - at - 12 || XxHash3.HashToUInt64(file.Slice(at + 12, length)) != BinaryPrimitives.ReadUInt64LittleEndian(file[(at + 4)..]))
                break;
            using var reader = new BinaryReader(new MemoryStream(file.Slice(at + 12, length).ToArray()), Encoding.UTF8);
            long revision = reader.ReadInt64();
            var writes = new List<(string, byte[]?)>();
            while (reader.BaseStream.Position < length)
            {
                string key = reader.ReadString();
                int size = reader.ReadInt32();
                writes.Add((key, size < 0 ? null : reader.ReadBytes(size)));
            }
            Put(revision, writes);
            Found?.Invoke(revision, writes);
            at += 12 + length;
        }
        _file.SetLength(at);
    }

    private void Put(long revision, IReadOnlyList<(string Key, byte[]? Value)> writes)
    {
        foreach ((string key, byte[]? value) in writes)
            if (value is null)
                _values.Remove(key);
            else
                _values[key] = (value, revision);
    }
}
