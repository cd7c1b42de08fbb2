using System.Xml.Linq;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Fragments.Policies;

namespace Atoll.UnitTests.Scheduling.Fragments;

/// <summary>Curves as CSV and as a picture, and policies by name.</summary>
public sealed class CurveReportTests
{
    private static readonly ReplayCurve s_curve = new("A<B", 42, [new(0.5, 0.5, 0.1234, 0), new(130, 95.25, 4.5, 7)]);

    [Fact]
    public void Csv_has_one_line_a_point() => Assert.Equal(
        "policy,seed,demand_percent,allocated_percent,fragment_percent,dropped\nA<B,42,0.500,0.500,0.123,0\nA<B,42,130.000,95.250,4.500,7\n", CurveReport.ToCsv([s_curve]));

    [Fact]
    public void The_picture_is_well_formed_and_has_both_lines_of_each_curve()
    {
        XDocument picture = XDocument.Parse(CurveReport.ToSvg([s_curve, s_curve with { Name = "C" }], "a & b"));
        XNamespace svg = "http://www.w3.org/2000/svg";
        Assert.Equal(4, picture.Descendants(svg + "polyline").Count());
        Assert.Contains(picture.Descendants(svg + "text"), t => t.Value == "A<B");
        Assert.Contains(picture.Descendants(svg + "text"), t => t.Value == "a & b");
        // The last point is at the right end, higher than the first.
        string[] points = picture.Descendants(svg + "polyline").First().Attribute("points")!.Value.Trim().Split(' ');
        Assert.True(double.Parse(points[1].Split(',')[1], System.Globalization.CultureInfo.InvariantCulture) < double.Parse(points[0].Split(',')[1], System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public void Policies_are_found_by_name_in_any_case()
    {
        (GpuFleet fleet, List<GpuTask> tasks) = SmallTrace.Draw(1);
        foreach (string name in PolicyCatalog.Names)
            Assert.Equal(name, PolicyCatalog.Create(name.ToUpperInvariant(), fleet, TypicalMix.Of(tasks), 1)!.Name);
        Assert.Null(PolicyCatalog.Create("other", fleet, TypicalMix.Of(tasks), 1));
    }
}
