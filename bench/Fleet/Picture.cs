using System.Globalization;
using System.Text;

namespace Atoll.Bench.Fleet;

/// <summary>Growth with the number of sites: small plots in one SVG, each with a straight line from the origin through its first point to compare with.</summary>
internal static class Picture
{
    private const int Width = 420, Height = 230, Left = 60, Right = 20, Top = 34, Bottom = 34, Columns = 2;

    private static readonly (string Title, Func<FleetResult, double> Value)[] s_plots =
    [
        ("steady: processor time, % of one core", r => r.Steady.Of(p => p.Cpu)),
        ("steady: memory resident, MiB", r => r.Steady.Of(p => p.Memory)),
        ("steady: memory in use, MiB", r => r.Steady.Of(p => p.Live)),
        ("idle line of one site, B/s up + down", r => r.Steady.Of(p => p.Up) + r.Steady.Of(p => p.Down)),
        ("restart: all sites resumed after, s", r => r.Resume.Of(p => p.Seconds)),
        ("restart: processor time of the centre, s", r => r.Resume.Of(p => p.Cpu)),
        ("restart: session bytes of one site", r => r.Resume.Of(p => p.Spoken)),
        ("restart: API p99, ms", r => r.Resume.Of(p => p.Api.P99)),
        ("Deployment, one a site: started at all after, s", r => r.Roll.Of(p => p.Started)),
        ("Deployment, one a site: processor time of the centre, s", r => r.Roll.Of(p => p.Cpu)),
        ("ConfigMap: at all sites after, s", r => r.Config.Of(p => p.Seconds)),
        ("ConfigMap: processor time of the centre, s", r => r.Config.Of(p => p.Cpu)),
    ];

    public static string Of(IReadOnlyList<FleetResult> results)
    {
        var svg = new StringBuilder();
        int height = (s_plots.Length + Columns - 1) / Columns * Height;
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Columns * Width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{Columns * Width}\" height=\"{height}\" fill=\"white\"/>\n");
        for (int i = 0; i < s_plots.Length; i++)
            Plot(svg, i % Columns * Width, i / Columns * Height, s_plots[i].Title, results, s_plots[i].Value);
        return svg.Append("</svg>\n").ToString();
    }

    private static void Plot(StringBuilder svg, int x, int y, string title, IReadOnlyList<FleetResult> all, Func<FleetResult, double> value)
    {
        List<FleetResult> results = [.. all.Where(r => !double.IsNaN(value(r)))];
        if (results.Count == 0)
            return;
        FleetResult first = results.MinBy(r => r.Sites)!;
        double most = Math.Max(1e-9, results.Max(value)) * 1.15, sites = results.Max(r => r.Sites) * 1.05;
        double X(double s) => x + Left + s / sites * (Width - Left - Right);
        double Y(double v) => y + Height - Bottom - v / most * (Height - Top - Bottom);
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x + Left}\" y=\"{y + 22}\" font-size=\"14\">{title}</text>\n");
        for (int i = 0; i <= 4; i++)
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{x + Left}\" x2=\"{x + Width - Right}\" y1=\"{Y(most * i / 4):F1}\" y2=\"{Y(most * i / 4):F1}\" stroke=\"#ddd\"/><text x=\"{x + Left - 6}\" y=\"{Y(most * i / 4) + 4:F1}\" text-anchor=\"end\">{most * i / 4:G3}</text>\n");
        double slope = value(first) / first.Sites, end = Math.Min(sites, slope > 0 ? most / slope : sites);
        svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{X(0):F1}\" y1=\"{Y(0):F1}\" x2=\"{X(end):F1}\" y2=\"{Y(end * slope):F1}\" stroke=\"#999\" stroke-dasharray=\"4 4\"/>\n<polyline fill=\"none\" stroke=\"#0b6e4f\" stroke-width=\"2\" points=\"");
        foreach (FleetResult r in results)
            svg.Append(CultureInfo.InvariantCulture, $"{X(r.Sites):F1},{Y(value(r)):F1} ");
        svg.Append("\"/>\n");
        foreach (FleetResult r in results)
            svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(r.Sites):F1}\" cy=\"{Y(value(r)):F1}\" r=\"3\" fill=\"#0b6e4f\"/><text x=\"{X(r.Sites):F1}\" y=\"{y + Height - Bottom + 16}\" text-anchor=\"middle\">{r.Sites}</text>\n");
    }
}
