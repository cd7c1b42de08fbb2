using System.Text.Json.Nodes;
using Atoll.EndToEnd.Sites;

namespace Atoll.EndToEnd.Wire;

/// <summary>One site of the rig whose agent reaches the centre over a weak line first, until the result is disposed of.</summary>
internal sealed class WeakSite : IAsyncDisposable
{
    private readonly LocalRig _rig;
    private readonly string _enrolment;

    private WeakSite(LocalRig rig, RigSite site, WeakLine line, string enrolment) => (_rig, Site, Line, _enrolment) = (rig, site, line, enrolment);

    internal RigSite Site { get; }

    internal WeakLine Line { get; }

    /// <summary>The address that the site dials over the weak line.</summary>
    internal string Address => $"https://{Line.CentreAddress}:{new Uri(_rig.Server).Port}";

    private string Daemon => $"site-{Site.Name}";

    /// <summary>Lays the line, makes it the first (or, without <paramref name="second"/>, the only) way to the centre, and waits for the link.</summary>
    internal static async Task<WeakSite> OpenAsync(LocalRig rig, RigSite site, WaySettings settings, bool second = false)
    {
        WeakLine line = await WeakLine.LayAsync(LocalRig.NamespaceOf(site), (rig.Instance * 4) + site.Index);
        line.Set(settings.Loss is > 0 and < 1 && await line.LoseAsync(settings.Loss) ? settings with { Loss = 0 } : settings);
        string enrolment = $"{rig.StateOf(site)}/identity/enrolment.json";
        var weak = new WeakSite(rig, site, line, await File.ReadAllTextAsync(enrolment));
        JsonObject changed = JsonNode.Parse(weak._enrolment)!.AsObject();
        changed["servers"] = second ? new JsonArray(weak.Address, rig.Server) : new JsonArray(weak.Address);
        changed["advertised"] = new JsonArray();
        await weak.RestartAsync(changed.ToJsonString());
        await weak.ConnectedAsync(weak.Address);
        return weak;
    }

    /// <summary>Waits until the centre shows the site connected through an address.</summary>
    internal Task ConnectedAsync(string address, double seconds = 120) =>
        Until.TrueAsync($"{Site.Name} is connected through {address}", seconds, async () => await _rig.PhaseOfAsync(Site) == "Connected" && (await ParentAsync())?["address"]?.GetValue<string>() == address, () => _rig.LogAsync(Daemon));

    /// <summary>What the Site says of its parent.</summary>
    internal async Task<JsonNode?> ParentAsync() => (await _rig.Centre.GetAsync($"/apis/edge.atoll.dev/v1alpha1/sites/{Site.Name}"))?["status"]?["parent"];

    /// <summary>How often the agent's link has come up or gone down (a part of its words) since it started first.</summary>
    internal async Task<int> CountAsync(string words) => (await File.ReadAllLinesAsync($"{_rig.Home}/run/{Daemon}.log")).Count(l => l.Contains(words, StringComparison.Ordinal));

    internal Task<string> LogAsync() => _rig.LogAsync(Daemon);

    public async ValueTask DisposeAsync()
    {
        await RestartAsync(_enrolment);
        await Line.DisposeAsync();
        await _rig.ConnectedAsync(Site);
    }

    private async Task RestartAsync(string enrolment)
    {
        IReadOnlyList<string> command = await _rig.KillAsync(Daemon);
        await File.WriteAllTextAsync($"{_rig.StateOf(Site)}/identity/enrolment.json", enrolment);
        await _rig.StartAsync(Daemon, command, Site);
    }
}
