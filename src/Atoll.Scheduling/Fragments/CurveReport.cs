using System.Globalization;
using System.Net;
using System.Text;

namespace Atoll.Scheduling.Fragments;

/// <summary>The curve of one policy.</summary>
/// <param name="Name">What the legend calls it.</param>
/// <param name="Seed">The seed of the replay.</param>
/// <param name="Points">Its points, by demand.</param>
public sealed record ReplayCurve(string Name, ulong Seed, IReadOnlyList<ReplayPoint> Points);

/// <summary>Writes curves of replays as CSV and as a picture (SVG).</summary>
public static class CurveReport
{
    private const int Width = 860, Height = 460, Left = 60, Right = 150, Top = 40, Bottom = 50;
    private static readonly string[] s_colours = ["#0b6e4f", "#c1440e", "#1f5fa8", "#7a3e9d", "#6b6b6b", "#b8860b", "#008b8b", "#a01050"];

    /// <summary>One line a point: <c>policy,seed,demand_percent,allocated_percent,fragment_percent,dropped</c>.</summary>
    public static string ToCsv(IReadOnlyList<ReplayCurve> curves)
    {
        var text = new StringBuilder("policy,seed,demand_percent,allocated_percent,fragment_percent,dropped\n");
        foreach (ReplayCurve curve in curves)
            foreach (ReplayPoint p in curve.Points)
                text.Append(CultureInfo.InvariantCulture, $"{curve.Name},{curve.Seed},{p.Demand:F3},{p.Allocated:F3},{p.Fragment:F3},{p.Dropped}\n");
        return text.ToString();
    }

    /// <summary>Allocated (whole lines) and fragment (dashed) over demand, all in percent of the fleet's GPUs.</summary>
    public static string ToSvg(IReadOnlyList<ReplayCurve> curves, string title, string axis = "GPUs asked for so far, of the fleet's (whole line: allocated; dashed: expected fragment)")
    {
        double most = 100;
        foreach (ReplayCurve curve in curves)
            foreach (ReplayPoint p in curve.Points)
                most = Math.Max(most, p.Demand);
        double X(double demand) => Left + demand / most * (Width - Left - Right);
        double Y(double percent) => Height - Bottom - percent / 100 * (Height - Top - Bottom);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"22\" font-size=\"15\">{WebUtility.HtmlEncode(title)}</text>\n");
        for (int percent = 0; percent <= 100; percent += 20)
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(percent):F1}\" y2=\"{Y(percent):F1}\" stroke=\"#ddd\"/><text x=\"{Left - 8}\" y=\"{Y(percent) + 4:F1}\" text-anchor=\"end\">{percent} %</text>\n");
        for (int demand = 0; demand <= most; demand += most > 2000 ? 1000 : most > 400 ? 100 : 20)
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(demand):F1}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{demand} %</text>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 12}\" text-anchor=\"middle\">{WebUtility.HtmlEncode(axis)}</text>\n");
        for (int i = 0; i < curves.Count; i++)
        {
            string colour = s_colours[i % s_colours.Length];
            Line(svg, curves[i], X, p => Y(p.Allocated), colour, "");
            Line(svg, curves[i], X, p => Y(p.Fragment), colour, " stroke-dasharray=\"5 4\"");
            int y = Top + 10 + i * 20;
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Width - Right + 12}\" x2=\"{Width - Right + 36}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{Width - Right + 42}\" y=\"{y + 4}\">{WebUtility.HtmlEncode(curves[i].Name)}</text>\n");
        }
        return svg.Append("</svg>\n").ToString();
    }

    private static void Line(StringBuilder svg, ReplayCurve curve, Func<double, double> x, Func<ReplayPoint, double> y, string colour, string dash)
    {
        svg.Append(CultureInfo.InvariantCulture, $"<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"{dash} points=\"");
        foreach (ReplayPoint p in curve.Points)
            svg.Append(CultureInfo.InvariantCulture, $"{x(p.Demand):F1},{y(p):F1} ");
        svg.Append("\"/>\n");
    }
}
