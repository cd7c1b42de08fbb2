using Atoll.Agent.Members;

namespace Atoll.UnitTests.Agent.Members;

/// <summary>The operator's program that switches a node off: what is accepted, and what counts as success.</summary>
public sealed class FenceProgramTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("atoll-fence-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Only_an_end_with_0_within_the_limit_says_that_the_node_is_off()
    {
        string mark = Path.Combine(_folder, "off n-2; echo");
        Environment.SetEnvironmentVariable("ATOLL_TEST_SECRET", "1");
        Assert.Null(await RunAsync("""printf '%s' "$1" > "$2"; [ -z "$ATOLL_TEST_SECRET" ]""", "--name={node}", mark));
        Assert.Equal("--name=n-2", await File.ReadAllTextAsync(mark, TestContext.Current.CancellationToken)); // As one argument, whatever is in it.
        Assert.Equal("/bin/sh ended with 3: no answer of the power switch", await RunAsync("echo 'no answer of the power switch' >&2; exit 3"));
        Assert.StartsWith("/bin/sh ended with 1: 1 2 3", await RunAsync("seq 200000; exit 1"), StringComparison.Ordinal);
        // A condition is read at a terminal.
        Assert.Equal("/bin/sh ended with 4: is [2Jit", await RunAsync("printf 'is\\033[2Jit' >&2; exit 4"));
        Assert.Equal("/bin/sh did not end within 1 s", await (Shell("exec sleep 600") with { Limit = TimeSpan.FromSeconds(1) }).RunAsync("n-2", TimeProvider.System, TestContext.Current.CancellationToken));
        Assert.StartsWith("/nonexistent could not be started", await new FenceProgram("/nonexistent", [], TimeSpan.FromSeconds(5)).RunAsync("n-2", TimeProvider.System, TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_wrong_with_it_is_named()
    {
        string good = Program(), open = Program(), plain = Path.Combine(_folder, "plain");
        File.SetUnixFileMode(open, File.GetUnixFileMode(open) | UnixFileMode.OtherWrite);
        File.WriteAllText(plain, "");
        Refused("--fence: 'fence-node' is not the full path", "fence-node");
        Refused("is not an executable file of this machine", Path.Combine(_folder, "none"));
        Refused("is not an executable file of this machine", plain);
        Refused("is not an executable file of this machine", _folder);
        Refused("chmod go-w", open);
        Refused("--fence-seconds: 0.5 is not 1 to 60 seconds", good, seconds: 0.5);
        Refused("--fence-argument: none of them has {node}", good, ["--off"]);
        Assert.Equal(["{node}"], FenceProgram.Load(good, [], 10).Arguments);
    }

    private static void Refused(string says, string path, string[]? arguments = null, double seconds = 10) =>
        Assert.Contains(says, Assert.Throws<ArgumentException>(() => FenceProgram.Load(path, arguments ?? [], seconds)).Message, StringComparison.Ordinal);

    private static Task<string?> RunAsync(string script, params string[] arguments) => Shell(script, arguments).RunAsync("n-2", TimeProvider.System, TestContext.Current.CancellationToken);

    private static FenceProgram Shell(string script, params string[] arguments) => FenceProgram.Load("/bin/sh", ["-c", script, "sh", .. arguments, FenceProgram.Node], 60);

    private string Program()
    {
        string path = Path.Combine(_folder, Path.GetRandomFileName());
        File.WriteAllText(path, "");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }
}
