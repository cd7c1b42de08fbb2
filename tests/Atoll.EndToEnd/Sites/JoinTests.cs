using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>Who may become a site, and who may stay one.</summary>
[Collection(SitesGroup.Name)]
public sealed class JoinTests(LocalRig rig)
{
    [Fact]
    public async Task A_wrong_used_or_expired_token_and_another_centres_pin_are_refused_and_get_nothing()
    {
        rig.Need();
        string folder = Directory.CreateTempSubdirectory("atoll-join-").FullName, used = Path.Combine(folder, "used"), other = Path.Combine(folder, "other");
        string token = await InviteAsync("join-a");
        Assert.Equal(0, (await JoinAsync(used, token)).Code);
        await RefusedAsync(other, token, "wrong, used or expired");

        string fresh = await InviteAsync("join-b");
        string[] parts = fresh.Split('.');
        await RefusedAsync(other, string.Join('.', parts[0], parts[1], new string('a', 32), parts[3]), "wrong, used or expired");
        await RefusedAsync(other, string.Join('.', parts[0], parts[1], parts[2], new string('A', 43)), "its CA is not the one that the token pins");
        await RefusedAsync(other, "atoll1.join-b", "atoll site create", code: 2);
        Outcome nobody = await Programs.RunAsync(Built.Agent, ["join", "--state", other, "--server", "https://127.0.0.1:1", "--token", fresh]);
        Assert.Equal(4, nobody.Code);
        Assert.Contains("cannot be reached", nobody.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(other));
        // After all refusals the token itself still works: nothing used it up.
        Assert.Equal(0, (await JoinAsync(Path.Combine(folder, "b"), fresh)).Code);
        Assert.Equal(HttpStatusCode.OK, await AskAsync(used));

        string late = await InviteAsync("join-c", "--valid-hours", "0.0003");
        await Task.Delay(TimeSpan.FromSeconds(1.5)); // The token's own validity: there is nothing else to wait for.
        await RefusedAsync(other, late, "wrong, used or expired");
        foreach (string site in (string[])["join-a", "join-b", "join-c"])
            await LocalRig.AtollAsync("site", "delete", site, "--kubeconfig", rig.Kubeconfig);
        Assert.Equal(HttpStatusCode.Unauthorized, await AskAsync(used)); // Its site was deleted.
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_revoked_site_is_out_at_once_and_cannot_come_back()
    {
        rig.Need();
        string state = Directory.CreateTempSubdirectory("atoll-join-").FullName, name = $"revoked-{rig.Instance}";
        Assert.Equal(0, (await JoinAsync(state, await InviteAsync(name))).Code);
        await rig.StartAsync(name, [Built.Agent, "run", "--state", state, "--node-name", name, "--api-port", "6555"], rig.Charlie);
        await Until.TrueAsync("the new site is connected", 60, async () => await rig.PhaseOfAsync(name) == "Connected", () => rig.LogAsync(name));

        Assert.Equal(HttpStatusCode.OK, await AskAsync(state));
        using HttpClient client = ClientOf(state);
        await using Stream watch = await client.GetStreamAsync(new Uri($"{rig.Server}/api/v1/nodes?watch=1&timeoutSeconds=3600"));

        await LocalRig.AtollAsync("site", "revoke", name, "--kubeconfig", rig.Kubeconfig);
        Assert.Equal(HttpStatusCode.Unauthorized, await AskAsync(state)); // Not only the link: the API knows it no more.
        await EndAsync(watch).WaitAsync(TimeSpan.FromSeconds(30)); // An hour early.
        await Until.TrueAsync("its session is closed", 15, async () => await rig.PhaseOfAsync(name) == "Revoked" && (await rig.LogAsync(name)).Contains("is down: Revoked", StringComparison.Ordinal), () => rig.LogAsync(name));
        // It dials again, and is refused each time.
        await Until.TrueAsync("it was refused again", 30, async () => (await rig.LogAsync("centre")).Contains($"site {name} was revoked", StringComparison.Ordinal));
        Assert.Equal("Revoked", await rig.PhaseOfAsync(name));
        Outcome invited = await Programs.RunAsync(Built.Atoll, ["site", "create", name, "--kubeconfig", rig.Kubeconfig]);
        Assert.Equal(1, invited.Code);
        Assert.Contains("was revoked", invited.Error, StringComparison.Ordinal);

        await rig.KillAsync(name);
        await Programs.OkAsync("nsenter", $"--net=/run/netns/{LocalRig.NamespaceOf(rig.Charlie)}", Built.Agent, "reset", "--state", state, "--node-name", name);
        await LocalRig.AtollAsync("site", "delete", name, "--kubeconfig", rig.Kubeconfig);
        await Until.TrueAsync("its node goes with it", 60, async () => await rig.Centre.GetAsync($"/api/v1/nodes/{name}") is null);
    }

    [Fact]
    public async Task A_supervisor_without_an_identity_ends_and_one_on_a_full_disk_goes_on_when_there_is_room()
    {
        rig.Need();
        string state = Directory.CreateTempSubdirectory("atoll-full-").FullName, name = $"full-{rig.Instance}";
        Outcome never = await Programs.RunAsync(Built.Agent, ["supervise", "--state", state], seconds: 30);
        Assert.Equal((1, $"error: {state} has no identity. Join first, with the 'atoll-agent join' command that 'atoll site create NAME' prints.\n"), (never.Code, never.Error));

        await Programs.OkAsync("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", state);
        try
        {
            Assert.Equal(0, (await JoinAsync(state, await InviteAsync(name))).Code);
            Assert.NotEqual(0, (await Programs.RunAsync("dd", ["if=/dev/zero", $"of={state}/fill", "bs=64k"])).Code);
            string[] agent = ["--state", state, "--node-name", name, "--api-port", "6556"];
            Outcome full = await Programs.RunAsync("nsenter", [$"--net=/run/netns/{LocalRig.NamespaceOf(rig.Charlie)}", Built.Agent, "run", .. agent], seconds: 30);
            Assert.Equal((1, 1), (full.Code, full.Error.TrimEnd().Split('\n').Length));
            Assert.StartsWith($"error: {state}/site.db", full.Error, StringComparison.Ordinal);

            await rig.StartAsync(name, [Built.Agent, "supervise", .. agent], rig.Charlie);
            await Until.TrueAsync("it is tried again", 30, async () => (await rig.LogAsync(name)).Split("the agent ended with 1 and is started again").Length > 2, () => rig.LogAsync(name));
            File.Delete($"{state}/fill");
            await Until.TrueAsync("the site is connected", 60, async () => await rig.PhaseOfAsync(name) == "Connected", () => rig.LogAsync(name));

            // Asked to end, it ends its agent. The state folder that a reset leaves is the mount point.
            int supervisor = rig.PidOf(name);
            await Programs.OkAsync("kill", $"{supervisor}");
            await Until.TrueAsync("it is gone", 30, () => !Directory.Exists($"/proc/{supervisor}"));
            await Programs.OkAsync("nsenter", $"--net=/run/netns/{LocalRig.NamespaceOf(rig.Charlie)}", Built.Agent, "reset", "--state", state, "--node-name", name);
            Assert.Empty(Directory.EnumerateFileSystemEntries(state));
            await LocalRig.AtollAsync("site", "delete", name, "--kubeconfig", rig.Kubeconfig);
        }
        finally
        {
            await Programs.OkAsync("umount", "--lazy", state);
            Directory.Delete(state);
        }
    }

    private async Task<string> InviteAsync(string site, params string[] more) =>
        JsonNode.Parse(await LocalRig.AtollAsync(["site", "create", site, "--kubeconfig", rig.Kubeconfig, "--output", "json", .. more]))!["token"]!.GetValue<string>();

    private Task<Outcome> JoinAsync(string state, string token) =>
        Programs.RunAsync("nsenter", [$"--net=/run/netns/{LocalRig.NamespaceOf(rig.Charlie)}", Built.Agent, "join", "--state", state, "--server", rig.Server, "--token", token]);

    /// <summary>What the centre's API answers to a site's own certificate.</summary>
    private async Task<HttpStatusCode> AskAsync(string state)
    {
        using HttpClient client = ClientOf(state);
        using HttpResponseMessage answer = await client.GetAsync(new Uri($"{rig.Server}/api/v1/nodes"));
        return answer.StatusCode;
    }

    private static async Task EndAsync(Stream watch)
    {
        try
        {
            await watch.CopyToAsync(Stream.Null);
        }
        catch (IOException)
        {
            // Cut off by the centre in the middle of its answer.
        }
    }

    private static HttpClient ClientOf(string state)
    {
        X509Certificate2 certificate = X509Certificate2.CreateFromPemFile($"{state}/identity/site.crt", $"{state}/identity/site.key");
        return new HttpClient(new SocketsHttpHandler { UseProxy = false, SslOptions = { ClientCertificates = [certificate], RemoteCertificateValidationCallback = (_, _, _, _) => true } });
    }

    private async Task RefusedAsync(string state, string token, string why, int code = 1)
    {
        Outcome outcome = await JoinAsync(state, token);
        Assert.Equal(code, outcome.Code);
        Assert.Contains(why, outcome.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(state));
    }
}
