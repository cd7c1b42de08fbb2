using System.Text;
using Atoll.Api.Streams;
using Atoll.Edge.Native;

namespace Atoll.EndToEnd.Runtime;

/// <summary>Exec, attach, terminals and logs.</summary>
public abstract class StreamTests(string runtime)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Exec_carries_input_output_errors_and_exit_codes()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sleep", "1000");
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        Assert.Equal((9, "out\n", "err\n"), await bed.ExecAsync(spec.Id, "sh", "-c", "echo out; echo err >&2; exit 9"));
        Assert.Equal(137, (await bed.ExecAsync(spec.Id, "sh", "-c", "kill -9 $$")).Code);
        Assert.Equal(1288895, (await bed.ExecAsync(spec.Id, "seq", "1", "200000")).Output.Length);

        var missing = await bed.Runtime.ExecAsync(spec.Id, new ExecRequest { Command = ["no-such"], Stdout = true }, CancellationToken.None);
        Assert.Contains("no-such", missing.Error!.Message);
        Assert.NotNull((await bed.Runtime.ExecAsync("unknown", new ExecRequest { Command = ["true"] }, CancellationToken.None)).Error);

        var start = await bed.Runtime.ExecAsync(spec.Id, new ExecRequest { Command = ["wc", "-c"], Stdin = true, Stdout = true }, CancellationToken.None);
        await using var streams = start.Value!;
        var output = new StreamReader(streams.Stdout!).ReadToEndAsync();
        await streams.Stdin!.WriteAsync(new byte[300_000]);
        await streams.Stdin.DisposeAsync();
        Assert.Equal(0, await streams.ExitCode.WaitAsync(Patience));
        Assert.Equal("300000\n", await output);
    }

    [Fact]
    public async Task Exec_with_a_terminal_can_be_resized()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sleep", "1000");
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        var start = await bed.Runtime.ExecAsync(spec.Id, new ExecRequest { Command = ["sh", "-c", "while [ \"$(stty size 2>/dev/null)\" != '33 111' ]; do sleep 0.05; done; stty size; read x; echo got $x"], Stdin = true, Stdout = true, Tty = true }, CancellationToken.None);
        await using var streams = start.Value!;
        streams.Resize(111, 33);
        var reader = new StreamReader(streams.Stdout!);
        Assert.Equal("33 111", await reader.ReadLineAsync().WaitAsync(Patience));
        await streams.Stdin!.WriteAsync("word\n"u8.ToArray());
        Assert.Contains("got word", await reader.ReadToEndAsync().WaitAsync(Patience));
        Assert.Equal(0, await streams.ExitCode.WaitAsync(Patience));
        Assert.Null(streams.Stderr);
    }

    [Fact]
    public async Task A_command_ends_when_its_client_leaves()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sleep", "1000");
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        var start = await bed.Runtime.ExecAsync(spec.Id, new ExecRequest { Command = ["sh", "-c", "echo $$; exec sleep 777"], Stdout = true }, CancellationToken.None);
        await new StreamReader(start.Value!.Stdout!).ReadLineAsync().WaitAsync(Patience);
        await start.Value.DisposeAsync();
        var deadline = DateTime.UtcNow + Patience;
        while ((await bed.ExecAsync(spec.Id, "ps")).Output.Contains("sleep 777", StringComparison.Ordinal)) Assert.True(DateTime.UtcNow < deadline);
    }

    [Fact]
    public async Task Attach_reaches_the_main_process()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sh", "-c", "read line; echo got $line; exit 4") with { Stdin = true, StdinOnce = true };
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        var start = await bed.Runtime.AttachAsync(spec.Id, new ExecRequest { Stdin = true, Stdout = true, Stderr = true }, CancellationToken.None);
        await using var streams = start.Value!;
        await streams.Stdin!.WriteAsync("hello\n"u8.ToArray());
        Assert.Equal("got hello\n", await new StreamReader(streams.Stdout!).ReadToEndAsync().WaitAsync(Patience));
        Assert.Equal(4, await streams.ExitCode.WaitAsync(Patience));
        Assert.Equal("got hello\n", RuntimeBed.Log(spec));
    }

    [Fact]
    public async Task Logs_go_on_in_a_new_file_after_rotation()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sh", "-c", "echo before; while [ ! -f /go ]; do sleep 0.05; done; echo after");
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        var deadline = DateTime.UtcNow + Patience;
        while (!File.Exists(spec.LogPath) || !RuntimeBed.Log(spec).Contains("before", StringComparison.Ordinal)) Assert.True(DateTime.UtcNow < deadline);
        File.Move(spec.LogPath, spec.LogPath + ".1");
        Assert.True((await bed.Runtime.ReopenLogAsync(spec.Id, CancellationToken.None)).Ok);
        while (!File.Exists(spec.LogPath)) Assert.True(DateTime.UtcNow < deadline);
        await bed.ExecAsync(spec.Id, "touch", "/go");
        await bed.ExitedAsync(spec.Id);
        Assert.Equal("after\n", RuntimeBed.Log(spec));
    }
}
