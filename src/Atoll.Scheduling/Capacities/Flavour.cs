using Atoll.Api.Core;
using Atoll.Api.Quantities;

namespace Atoll.Scheduling.Capacities;

/// <summary>What is sold: a name and the resources that one instance takes.</summary>
public sealed record Flavour(string Name, IReadOnlyDictionary<string, string> Requests)
{
    /// <summary>
    /// Reads <c>4c8g</c> (cores and GiB of memory) or a list such as <c>cpu=4,memory=8Gi,nvidia.com/gpu=1</c>. Throws
    /// <see cref="FormatException"/> with what is wrong.
    /// </summary>
    public static Flavour Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length > 1024)
            throw new FormatException("a flavour has at most 1,024 characters");
        if (Flavours.ParseSize(text) is { } size)
            return new Flavour(text, size);
        var requests = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string part in text.Split(','))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !Quantity.TryParse(part[(equals + 1)..], out Quantity amount) || amount <= Quantity.Zero)
                throw new FormatException($"\"{part}\" of the flavour \"{text}\" is not understood: write 4c8g, or amounts above zero such as cpu=4,memory=8Gi,example.com/gpu=1");
            if (!requests.TryAdd(part[..equals], part[(equals + 1)..]))
                throw new FormatException($"the flavour \"{text}\" names {part[..equals]} twice");
        }
        return new Flavour(text, requests);
    }
}
