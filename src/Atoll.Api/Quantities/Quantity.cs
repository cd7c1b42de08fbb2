using System.Globalization;
using System.Numerics;

namespace Atoll.Api.Quantities;

/// <summary>
/// Kubernetes' quantities (<c>100m</c>, <c>1.5</c>, <c>2Gi</c>, <c>1e3</c>): an exact number in units of 1/1000, which is the
/// finest unit that any resource uses; finer values are rounded up, as Kubernetes does. Source: apimachinery
/// resource.Quantity.
/// </summary>
public readonly record struct Quantity : IComparable<Quantity>
{
    private static readonly (string Suffix, BigInteger Factor)[] Suffixes =
    [
        ("Ki", BigInteger.Pow(2, 10)), ("Mi", BigInteger.Pow(2, 20)), ("Gi", BigInteger.Pow(2, 30)), ("Ti", BigInteger.Pow(2, 40)), ("Pi", BigInteger.Pow(2, 50)), ("Ei", BigInteger.Pow(2, 60)),
        ("k", BigInteger.Pow(10, 3)), ("M", BigInteger.Pow(10, 6)), ("G", BigInteger.Pow(10, 9)), ("T", BigInteger.Pow(10, 12)), ("P", BigInteger.Pow(10, 15)), ("E", BigInteger.Pow(10, 18)),
    ];

    private readonly Int128 _milli;

    private Quantity(Int128 milli) => _milli = milli;

    /// <summary>Nothing.</summary>
    public static Quantity Zero => default;

    /// <summary>The value in thousandths (millicores for cpu), saturated to 64 bits.</summary>
    public long Milli => _milli > long.MaxValue ? long.MaxValue : _milli < long.MinValue ? long.MinValue : (long)_milli;

    /// <summary>The value in whole units (bytes for memory), rounded up, saturated to 64 bits.</summary>
    public long Value
    {
        get
        {
            Int128 whole = _milli / 1000;
            if (_milli % 1000 > 0)
                whole++;
            return whole > long.MaxValue ? long.MaxValue : whole < long.MinValue ? long.MinValue : (long)whole;
        }
    }

    /// <summary>A quantity of thousandths.</summary>
    public static Quantity FromMilli(long milli) => new(milli);

    /// <summary>A quantity of whole units.</summary>
    public static Quantity FromValue(long value) => new((Int128)value * 1000);

    /// <summary>Reads a quantity; false when the text is none.</summary>
    public static bool TryParse(string? text, out Quantity quantity)
    {
        quantity = default;
        if (string.IsNullOrEmpty(text) || text.Length > 64)
            return false;
        int end = 0;
        if (text[0] is '+' or '-')
            end++;
        int digits = 0, point = -1;
        for (; end < text.Length; end++)
        {
            if (char.IsAsciiDigit(text[end]))
                digits++;
            else if (text[end] == '.' && point < 0)
                point = end;
            else
                break;
        }
        if (digits == 0)
            return false;
        string suffix = text[end..];
        int decimals = point < 0 ? 0 : end - point - 1;
        BigInteger mantissa = BigInteger.Parse(text.AsSpan(0, end).ToString().Replace(".", "", StringComparison.Ordinal), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        BigInteger numerator = mantissa * 1000, denominator = BigInteger.Pow(10, decimals);
        switch (suffix)
        {
            case "": break;
            case "n": denominator *= 1_000_000_000; break;
            case "u": denominator *= 1_000_000; break;
            case "m": denominator *= 1000; break;
            default:
                if (suffix[0] is 'e' or 'E' && suffix is not ("E" or "Ei"))
                {
                    if (!int.TryParse(suffix.AsSpan(1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int exponent) || exponent is < -30 or > 30)
                        return false;
                    if (exponent >= 0)
                        numerator *= BigInteger.Pow(10, exponent);
                    else
                        denominator *= BigInteger.Pow(10, -exponent);
                    break;
                }
                int i = Array.FindIndex(Suffixes, s => s.Suffix == suffix);
                if (i < 0)
                    return false;
                numerator *= Suffixes[i].Factor;
                break;
        }
        BigInteger milli = BigInteger.DivRem(numerator, denominator, out BigInteger rest);
        if (!rest.IsZero)
            milli += rest.Sign;
        quantity = new Quantity(milli > (BigInteger)Int128.MaxValue / 4 ? Int128.MaxValue / 4 : milli < -(BigInteger)Int128.MaxValue / 4 ? -Int128.MaxValue / 4 : (Int128)milli);
        return true;
    }

    /// <summary>Reads a quantity that validation has already accepted; zero when there is none.</summary>
    public static Quantity Parse(string? text) => TryParse(text, out Quantity quantity) ? quantity : default;

    /// <summary>Sum.</summary>
    public static Quantity operator +(Quantity a, Quantity b) => new(a._milli + b._milli);

    /// <summary>Difference.</summary>
    public static Quantity operator -(Quantity a, Quantity b) => new(a._milli - b._milli);

    /// <summary>Sum.</summary>
    public Quantity Add(Quantity other) => this + other;

    /// <summary>Difference.</summary>
    public Quantity Subtract(Quantity other) => this - other;

    /// <inheritdoc/>
    public int CompareTo(Quantity other) => _milli.CompareTo(other._milli);

    /// <summary>Order.</summary>
    public static bool operator <(Quantity a, Quantity b) => a._milli < b._milli;

    /// <summary>Order.</summary>
    public static bool operator >(Quantity a, Quantity b) => a._milli > b._milli;

    /// <summary>Order.</summary>
    public static bool operator <=(Quantity a, Quantity b) => a._milli <= b._milli;

    /// <summary>Order.</summary>
    public static bool operator >=(Quantity a, Quantity b) => a._milli >= b._milli;

    /// <summary>Decimal form: whole units, or thousandths with the suffix m.</summary>
    public override string ToString() => _milli % 1000 == 0 ? (_milli / 1000).ToString(CultureInfo.InvariantCulture) : _milli.ToString(CultureInfo.InvariantCulture) + "m";

    /// <summary>Binary form for memory: the largest of Ki, Mi, Gi, … that divides the value, else plain bytes.</summary>
    public string ToBinaryString()
    {
        long value = Value;
        string[] units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        int unit = 0;
        while (value != 0 && value % 1024 == 0 && unit < units.Length - 1)
        {
            value /= 1024;
            unit++;
        }
        return value.ToString(CultureInfo.InvariantCulture) + units[unit];
    }
}
