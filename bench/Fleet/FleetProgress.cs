using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Atoll.Bench.Fleet;

/// <summary>What all hollow sites together have reached.</summary>
internal sealed class FleetProgress
{
    private readonly ConcurrentDictionary<string, byte> _started = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, int> _ended = new();
    private int _live, _configs, _configVersion;

    /// <summary>Sites that hold their whole scope now.</summary>
    public int Live => Volatile.Read(ref _live);

    /// <summary>Pods that were started since the last <see cref="Clear"/>.</summary>
    public int Pods => _started.Count;

    /// <summary>Sites that have the newest version of the shared ConfigMap.</summary>
    public int Configs => Volatile.Read(ref _configs);

    /// <summary>How sessions and dials ended, as "Refused 12, ConnectionLost 2500".</summary>
    public string Ends => string.Join(", ", _ended.OrderByDescending(e => e.Value).Select(e => $"{e.Key} {e.Value}"));

    public void Clear()
    {
        _started.Clear();
        _ended.Clear();
    }

    /// <summary>From now on only this version of the ConfigMap counts.</summary>
    public void ExpectConfig(int version)
    {
        Volatile.Write(ref _configs, 0);
        Volatile.Write(ref _configVersion, version);
    }

    public void SawConfig(ReadOnlySpan<byte> body)
    {
        if (body.IndexOf(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"version-{Volatile.Read(ref _configVersion):D6}"))) >= 0)
            Interlocked.Increment(ref _configs);
    }

    public void Started(string uid) => _started.TryAdd(uid, 0);

    /// <summary>A site became live or ceased to be.</summary>
    public void Reached(ref bool isLive, bool now)
    {
        if (isLive == now)
            return;
        isLive = now;
        Interlocked.Add(ref _live, now ? 1 : -1);
    }

    /// <summary>A session or a dial ended.</summary>
    public void Ended(string how) => _ended.AddOrUpdate(how, 1, static (_, n) => n + 1);
}
