using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace Atoll.Simulation.Whole;

/// <summary>
/// A node's store on a disk that keeps what was flushed and may lose the rest: transactions are appended to a log as records with a
/// checksum, acknowledged after a flush that takes its time, and read again after a crash up to the first record that is torn.
/// </summary>
internal sealed class Disk
{
    private readonly World _world;
    private readonly MemoryStream _file = new();
    private readonly BinaryWriter _writer;
    private readonly Queue<(long End, Action Durable)> _waiting = new();
    private readonly SortedDictionary<string, (byte[] Value, long Revision)> _values = new(StringComparer.Ordinal);
    private long _flushed;
    private int _life;
    private bool _flushing;

    public Disk(World world) => (_world, _writer) = (world, new BinaryWriter(_file, Encoding.UTF8));

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
        _file.SetLength(_flushed + _world.Random.NextInt64(_file.Length - _flushed + 1));
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
        _world.At(1 + _world.Below(_world.Chance(5) ? 300 : 15), () =>
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
        long start = _file.Length;
        _file.SetLength(start + 12);
        _file.Seek(0, SeekOrigin.End);
        _writer.Write(revision);
        foreach ((string key, byte[]? value) in writes)
        {
            _writer.Write(key);
            _writer.Write(value?.Length ?? -1);
            _writer.Write(value ?? []);
        }
        Span<byte> record = _file.GetBuffer().AsSpan((int)start, (int)(_file.Length - start));
        BinaryPrimitives.WriteInt32LittleEndian(record, record.Length - 12);
        BinaryPrimitives.WriteUInt64LittleEndian(record[4..], XxHash3.HashToUInt64(record[12..]));
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
