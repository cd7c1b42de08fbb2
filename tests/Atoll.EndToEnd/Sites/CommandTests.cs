using System.Text.Json;
using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>The operator's program as a shell and another program see it: forms of output, exit codes, completion.</summary>
[Collection(SitesGroup.Name)]
public sealed class CommandTests(LocalRig rig)
{
    [Fact]
    public async Task Every_command_answers_as_table_json_and_yaml()
    {
        rig.Need();
        string[] local = ["--instance", $"{rig.Instance}", "--home", rig.Home];
        string pod = (await rig.Centre.PodsNowAsync()).Keys.First(k => k.StartsWith("hello-", StringComparison.Ordinal));
        string[][] commands =
        [
            ["site", "create", "forms", "--region", "east"], ["site", "list"], ["site", "show", rig.Alpha.Name], ["site", "orphans", "forms"], ["site", "revoke", "forms"], ["site", "delete", "forms"],
            ["explain", pod], ["capacity", "--flavour", "cpu=1"], ["status", .. local], ["cut", rig.Charlie.Name, .. local[..2]], ["heal", rig.Charlie.Name, .. local[..2]],
        ];
        foreach (string form in (string[])["table", "json", "yaml"])
            foreach (string[] command in commands)
            {
                string[] line = [.. command, "--kubeconfig", rig.Kubeconfig, "-o", form];
                string output = await LocalRig.AtollAsync(line);
                if (form == "json")
                    Assert.True(JsonNode.Parse(output) is JsonObject, string.Join(' ', line));
                else if (form == "yaml")
                    Assert.True(Atoll.Kube.Http.YamlReader.Parse(System.Text.Encoding.UTF8.GetBytes(output), []) is JsonObject { Count: > 0 } && !output.Contains("...", StringComparison.Ordinal), $"{string.Join(' ', line)}: {output}");
                else
                    Assert.ThrowsAny<JsonException>(() => JsonNode.Parse(output)?.AsObject());
            }
        // What YAML reads as a word of its own stays the text that it is.
        JsonObject site = Assert.IsType<JsonObject>(Atoll.Kube.Http.YamlReader.Parse(System.Text.Encoding.UTF8.GetBytes(await LocalRig.AtollAsync("site", "show", rig.Alpha.Name, "--kubeconfig", rig.Kubeconfig, "-o", "yaml")), []));
        Assert.All(site["status"]!["conditions"]!.AsArray(), c => Assert.Equal(JsonValueKind.String, c!["status"]!.GetValueKind()));
        await rig.ConnectedAsync(rig.Charlie);
    }

    [Theory]
    [InlineData(3, "nope", "site", "show", "nope")]
    [InlineData(3, "nope", "cut", "nope")]
    [InlineData(2, "--output: 'xml' is not one of table, json, yaml", "site", "list", "-o", "xml")]
    [InlineData(2, "--kind: 'far' is not one of field, near, cloud", "site", "create", "x", "--kind", "far")]
    [InlineData(2, "--valid-hours", "site", "create", "x", "--valid-hours", "0")]
    [InlineData(2, "0.0.0.0:6443", "server", "--listen", "here")]
    [InlineData(1, "no file at /nonexistent", "site", "list", "--kubeconfig", "/nonexistent")]
    public async Task Failures_say_what_to_do_and_have_their_exit_codes(int code, string says, params string[] line)
    {
        rig.Need();
        string[] where = line.Contains("--kubeconfig") ? [] : ["--kubeconfig", rig.Kubeconfig];
        Outcome outcome = await Programs.RunAsync(Built.Atoll, [.. line, .. where]);
        Assert.Equal(code, outcome.Code);
        Assert.Contains(says, outcome.Error + outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bash_completes_commands_options_and_values()
    {
        rig.Need();
        Assert.Equal("show", await CompleteAsync("atoll", "site", "sh"));
        Assert.Equal("json", await CompleteAsync("atoll", "site", "list", "-o", "js"));
        Assert.Equal("field", await CompleteAsync("atoll", "site", "create", "x", "--kind", "fi"));
        Assert.Equal("alpha", await CompleteAsync("atoll", "cut", "al"));
    }

    private static async Task<string> CompleteAsync(params string[] words)
    {
        string line = string.Join(' ', words);
        string script = $"""
            PATH={Path.GetDirectoryName(Built.Atoll)}:$PATH
            source <(atoll completion bash)
            COMP_LINE='{line}'; COMP_POINT={line.Length}; COMP_WORDS=({line}); COMP_CWORD={words.Length - 1}
            _atoll
            echo "${"{COMPREPLY[@]}"}"
            """;
        return (await Programs.OkAsync("bash", "-c", script)).Trim();
    }
}
