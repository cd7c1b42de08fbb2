using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Atoll.Edge.Native;

namespace Atoll.Edge.Networks;

/// <summary>A pod's address and host ports, on disk before anything of them exists. Fields are added, never renamed.</summary>
internal sealed record PodLease
{
    public required string PodUid { get; init; }

    public required string Address { get; init; }

    public IReadOnlyList<HostPort> HostPorts { get; set; } = [];

    /// <summary>Boot in which the namespace was made whole; another (or none) means that it must be made anew.</summary>
    public string ReadyInBoot { get; set; } = "";

    internal void Write(string path) => AtomicFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(this, LeaseJson.Default.PodLease), durable: false);

    internal static PodLease? Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), LeaseJson.Default.PodLease);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            return null;
        }
    }
}

[JsonSerializable(typeof(PodLease))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
internal sealed partial class LeaseJson : JsonSerializerContext;

/// <summary>Which addresses are free. The last one given is remembered, so that a dead pod's address is not at once another's.</summary>
internal sealed class AddressPool(IPNetwork subnet)
{
    private uint last;

    private uint First => Number(subnet.BaseAddress) + 1;

    private uint Broadcast => Number(subnet.BaseAddress) | (uint)((1UL << (32 - subnet.PrefixLength)) - 1);

    /// <summary>The bridge's own address.</summary>
    internal IPAddress Gateway => Address(First);

    internal IPAddress? Next(IReadOnlySet<string> taken)
    {
        var (from, to) = (First + 1, Broadcast - 1);
        if (to < from) return null;
        var next = last >= from && last < to ? last + 1 : from;
        for (var tried = 0u; tried <= to - from; tried++)
        {
            var address = Address(next);
            if (!taken.Contains(address.ToString()))
            {
                last = next;
                return address;
            }
            next = next == to ? from : next + 1;
        }
        return null;
    }

    private static uint Number(IPAddress address) => System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(address.GetAddressBytes());

    private static IPAddress Address(uint number)
    {
        Span<byte> bytes = stackalloc byte[4];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(bytes, number);
        return new IPAddress(bytes);
    }
}
