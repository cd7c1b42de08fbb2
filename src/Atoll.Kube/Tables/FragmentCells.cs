using System.Globalization;
using System.Text.Json;

namespace Atoll.Kube.Tables;

/// <summary>Cells of Capacity and DefragmentationPlan.</summary>
internal static class FragmentCells
{
    public static object[] Capacity(string name, JsonElement spec, JsonElement status, string age, DateTimeOffset now)
    {
        long closed = status.Number("closedNodes");
        JsonElement gpu = status.At("gpu");
        return
        [
            name, spec.Text("flavour"), OrAll(spec.Text("region")), OrAll(spec.Text("site")), closed > 0 ? $"{status.Number("nodes")} (+{closed} closed)" : $"{status.Number("nodes")}",
            status.Number("saleable"), status.Number("pooled"), Percent(status.At("fragmentation")), age,
            Cells.OrNone(Cells.Join(status.Each("resources").Where(r => r.Text("name") != "pods").Select(r => $"{r.Text("name")}={r.Text("free")}"))),
            Cells.OrNone(Cells.Join(status.Each("resources").Where(r => r.Number("blocks") > 0).Select(r => $"{r.Text("name")}(+{r.Number("blocks")})"))),
            gpu.ValueKind == JsonValueKind.Object ? string.Create(CultureInfo.InvariantCulture, $"{Real(gpu.At("expectedFragment")):0.#} of {Real(gpu.At("free")):0.#}") : "<none>",
            HumanDuration.Since(status.Time("updatedAt"), now),
        ];
    }

    public static object[] Plan(string name, JsonElement spec, JsonElement status, string age) =>
    [
        name, status.Text("phase") is { Length: > 0 } phase ? spec.Flag("suspended") && phase == "Executing" ? "Executing,Suspended" : phase : "Pending", $"{status.Number("movesDone")}/{status.Number("movesTotal")}",
        Effects(status, "promised"), Effects(status, "reached"), age, spec.Text("site") is { Length: > 0 } site ? site : OrAll(spec.Text("region")), status.Number("revision"), Cells.OrNone(status.Text("message")),
    ];

    private static string Effects(JsonElement status, string field) => Cells.OrNone(Cells.Join(status.Each("effects").Where(e => e.Has(field)).Select(e =>
        string.Create(CultureInfo.InvariantCulture, $"{e.Text("flavour")}{e.Number(field) - e.Number("before"):+0;-0;+0}"))));

    private static string OrAll(string text) => text.Length == 0 ? "*" : text;

    private static string Percent(JsonElement share) => Real(share).ToString("P1", CultureInfo.InvariantCulture);

    private static double Real(JsonElement number) => number.ValueKind == JsonValueKind.Number && number.TryGetDouble(out double value) ? value : 0;
}
