using System.Diagnostics;
using System.Text;

namespace Atoll.Bench.Fleet;

/// <summary>One watch of all pods, which notes when it saw each of a row of marked writes.</summary>
internal sealed class PodWatch : IDisposable
{
    private const string Word = "fleet-mark ";

    private readonly long[] _at;
    private readonly HttpResponseMessage _response;
    private int _seen;

    private PodWatch(HttpResponseMessage response, int writes) => (_response, _at) = (response, new long[writes]);

    /// <summary>How many different marks it saw.</summary>
    public int Seen => Volatile.Read(ref _seen);

    /// <summary>When it first saw each; ticks of <see cref="Stopwatch"/>.</summary>
    public IReadOnlyList<long> At => _at;

    /// <summary>A merge patch that marks a pod's status.</summary>
    public static byte[] Mark(int number) => Encoding.UTF8.GetBytes($$$"""{"status":{"message":"{{{Word}}}{{{number}}}"}}""");

    /// <summary>Opens it after a resource version; it reads until it is disposed.</summary>
    public static async Task<PodWatch> StartAsync(HttpClient client, string version, int writes)
    {
        HttpResponseMessage response = await client.GetAsync(new Uri("/api/v1/pods?watch=true&resourceVersion=" + version, UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        response.EnsureSuccessStatusCode();
        var watch = new PodWatch(response, writes);
        _ = watch.ReadAsync(await response.Content.ReadAsStreamAsync());
        return watch;
    }

    /// <summary>Ends it at the centre too: a client that is disposed leaves open what is still read.</summary>
    public void Dispose() => _response.Dispose();

    private async Task ReadAsync(Stream events)
    {
        byte[] buffer = new byte[1 << 14], mark = Encoding.UTF8.GetBytes(Word);
        int filled = 0;
        try
        {
            for (int read; (read = await events.ReadAsync(buffer.AsMemory(filled))) > 0;)
            {
                filled += read;
                int start = 0;
                for (int end; (end = buffer.AsSpan(start, filled - start).IndexOf((byte)'\n')) >= 0; start += end + 1)
                    Note(buffer.AsSpan(start, end), mark);
                buffer.AsSpan(start, filled - start).CopyTo(buffer);
                filled -= start;
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // It was disposed. A watch that ended before has not seen all.
        }
    }

    private void Note(ReadOnlySpan<byte> line, ReadOnlySpan<byte> mark)
    {
        int at = line.IndexOf(mark);
        if (at < 0 || !System.Buffers.Text.Utf8Parser.TryParse(line[(at + mark.Length)..], out int number, out _) || _at[number] != 0)
            return;
        _at[number] = Stopwatch.GetTimestamp();
        Interlocked.Increment(ref _seen);
    }
}
