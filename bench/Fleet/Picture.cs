using System.Globalization;
using System.Text;

namespace Atoll.Bench.Fleet;

/// <summary>Growth with the number of sites: four small plots in one SVG.</summary>
internal static class Picture
{
    private const int Width = 420, Height = 230, Left = 60, Right = 20, Top = 34, Bottom = 34;

    public static string Of(IReadOnlyList<FleetResult> results)
    {
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {2 * Width} {2 * Height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{2 * Width}\" height=\"{2 * Height}\" fill=\"white\"/>\n");
        Plot(svg, 0, 0, "steady: % of one core", results, r => r.SteadyCpu);
        Plot(svg, Width, 0, "steady: memory resident, MiB", results, r => r.SteadyMemory);
        Plot(svg, 0, Height, "idle line of one site, B/s up + down", results, r => r.IdleUp + r.IdleDown);
        Plot(svg, Width, Height, "resume of all after a restart: CPU s of the centre", results, r => r.ResumeCpu);
        return svg.Append("</svg>\n").ToString();
    }

    private static void Plot(StringBuilder svg, int x, int y, string title, IReadOnlyList<FleetResult> results, Func<FleetResult, double> value)
    {
        double most = Math.Max(1e-9, results.Max(value)) * 1.15, sites = results.Max(r => r.Sites) * 1.05;
        double X(double s) => x + Left + s / sites * (Width - Left - Right);
        double Y(double v) => y + Height - Bottom - v / most * (Height - Top - Bottom);
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x + Left}\" y=\"{y + 22}\" font-size=\"14\">{title}</text>\n");
        for (int i = 0; i <= 4; i++)
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{x + Left}\" x2=\"{x + Width - Right}\" y1=\"{Y(most * i / 4):F1}\" y2=\"{Y(most * i / 4):F1}\" stroke=\"#ddd\"/><text x=\"{x + Left - 6}\" y=\"{Y(most * i / 4) + 4:F1}\" text-anchor=\"end\">{most * i / 4:G3}</text>\n");
        svg.Append("<polyline fill=\"none\" stroke=\"#0b6e4f\" stroke-width=\"2\" points=\"");
        foreach (FleetResult r in results)
            svg.Append(CultureInfo.InvariantCulture, $"{X(r.Sites):F1},{Y(value(r)):F1} ");
        svg.Append("\"/>\n");
        foreach (FleetResult r in results)
            svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(r.Sites):F1}\" cy=\"{Y(value(r)):F1}\" r=\"3\" fill=\"#0b6e4f\"/><text x=\"{X(r.Sites):F1}\" y=\"{y + Height - Bottom + 16}\" text-anchor=\"middle\">{r.Sites}</text>\n");
    }
}
