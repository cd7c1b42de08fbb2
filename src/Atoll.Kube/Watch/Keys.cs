using System.Text;
using Atoll.Api.Objects;

namespace Atoll.Kube.Watch;

/// <summary>
/// Keys in the store: <c>/registry/group/plural/namespace/name</c> (<c>core</c> for the core group, no namespace for
/// cluster-wide objects), and <c>/events/core/events/namespace/name</c> for events.
/// </summary>
internal static class Keys
{
    /// <summary>First part of every key of an object.</summary>
    public const string Registry = "/registry/";

    /// <summary>First part of every key of an event.</summary>
    public const string Events = "/events/";

    /// <summary>Start of the keys of a resource.</summary>
    public static string Prefix(ResourceType type) =>
        type.Plural == "events" && type.Group is "" or "events.k8s.io"
            ? Events + "core/events/"
            : $"{Registry}{(type.Group.Length == 0 ? "core" : type.Group)}/{type.Plural}/";

    /// <summary>The part of an object's key after the prefix.</summary>
    public static string Local(string? ns, string name) => string.IsNullOrEmpty(ns) ? name : $"{ns}/{name}";

    /// <summary>An object's whole key.</summary>
    public static byte[] Of(ResourceType type, string? ns, string name) => Encoding.UTF8.GetBytes(Prefix(type) + Local(ns, name));

    /// <summary>The prefix of a key (three parts), or null when it is no object's.</summary>
    public static string? PrefixOf(ReadOnlySpan<byte> key)
    {
        if (!key.StartsWith("/registry/"u8) && !key.StartsWith("/events/"u8))
            return null;
        int slashes = 0;
        for (int i = 0; i < key.Length; i++)
            if (key[i] == (byte)'/' && ++slashes == 4)
                return Encoding.UTF8.GetString(key[..(i + 1)]);
        return null;
    }

    /// <summary>Bounds of all keys that start with a prefix.</summary>
    public static (ReadOnlyMemory<byte> Start, ReadOnlyMemory<byte> End) Range(string prefix)
    {
        byte[] start = Encoding.UTF8.GetBytes(prefix);
        byte[] end = (byte[])start.Clone();
        end[^1]++;
        return (start, end);
    }
}
