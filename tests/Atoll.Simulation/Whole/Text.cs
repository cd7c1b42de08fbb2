using System.Globalization;
using System.Runtime.CompilerServices;

namespace Atoll.Simulation.Whole;

/// <summary>A line of the trace, or what a checker says when it does not hold: put together only where somebody will read it.</summary>
[InterpolatedStringHandler]
internal ref struct Text
{
    private DefaultInterpolatedStringHandler _text;

    /// <summary>For the trace of a world.</summary>
    public Text(int literals, int holes, World world, out bool wanted) : this(literals, holes, !world.IsTraced, out wanted)
    {
    }

    /// <summary>For a check.</summary>
    public Text(int literals, int holes, bool holds, out bool wanted)
    {
        wanted = !holds;
        if (wanted)
            _text = new DefaultInterpolatedStringHandler(literals, holes, CultureInfo.InvariantCulture);
    }

    public void AppendLiteral(string value) => _text.AppendLiteral(value);

    public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

    public override string ToString() => _text.ToStringAndClear();
}
