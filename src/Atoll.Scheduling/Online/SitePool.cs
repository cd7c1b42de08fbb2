namespace Atoll.Scheduling.Online;

/// <summary>What a site has as a whole, and what is kept free there, by column.</summary>
internal sealed record SitePool(long[] Resources, long[] Headroom)
{
    public bool HasHeadroom => Headroom.AsSpan().ContainsAnyExcept(0L);

    public static long At(long[] amounts, int column) => column < amounts.Length ? amounts[column] : 0;

    public bool SameAs(SitePool other) => Trim(Resources).SequenceEqual(Trim(other.Resources)) && Trim(Headroom).SequenceEqual(Trim(other.Headroom));

    // Lists read when fewer names were known are shorter.
    private static ReadOnlySpan<long> Trim(long[] amounts) => amounts.AsSpan(0, amounts.AsSpan().LastIndexOfAnyExcept(0L) + 1);
}
