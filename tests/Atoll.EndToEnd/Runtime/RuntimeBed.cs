using System.Formats.Tar;
using System.Text;
using Atoll.Api.Streams;
using Atoll.Edge.Content;
using Atoll.Edge.Runtimes;
using Atoll.Edge.Runtimes.Containers;
using Atoll.Tests.Edge;

namespace Atoll.EndToEnd.Runtime;

/// <summary>A node's folders with an image of busybox, and a container runtime over them: real kernel, real OCI runtime.</summary>
internal sealed class RuntimeBed : IAsyncDisposable
{
    private int made;

    private RuntimeBed(string? runtime)
    {
        OciRuntime = runtime;
        Folder = Directory.CreateTempSubdirectory("atoll-e2e-").FullName;
        Node = "t" + Path.GetFileName(Folder)[^6..].ToLowerInvariant();
        Images = new ImageStore(new ImageStoreOptions { Folder = Path.Join(Folder, "images") }, TimeProvider.System);
        Runtime = Open();
    }

    /// <summary>What the next <see cref="Open"/> asks for.</summary>
    internal string? OciRuntime { get; set; }

    internal long LogCapBytes { get; set; } = 80 << 20;

    internal string Folder { get; }

    internal string Node { get; }

    internal ImageStore Images { get; }

    internal ContainerRuntime Runtime { get; private set; }

    internal string ImageDigest { get; private set; } = "";

    internal static async Task<RuntimeBed> OpenAsync(string? runtime = null)
    {
        var bed = new RuntimeBed(runtime);
        BusyboxImage.Write(Path.Join(bed.Folder, "busybox"));
        var pull = await bed.Images.PullAsync($"oci:{bed.Folder}/busybox:latest", null, CancellationToken.None);
        Assert.True(pull.Image is not null, pull.Message);
        bed.ImageDigest = pull.Image.Digest;
        return bed;
    }

    internal ContainerRuntimeOptions Options => new() { Node = Node, StateFolder = Path.Join(Folder, "state"), RunFolder = Path.Join(Folder, "run"), OciRuntime = OciRuntime, LogCapBytes = LogCapBytes };

    internal ContainerRuntime Open() => new(Options, Images, TimeProvider.System);

    /// <summary>What a new agent would do: the old object is left without a word, as a killed process would leave it.</summary>
    internal void Restart() => Runtime = Open();

    internal InstanceSpec Spec(params string[] args)
    {
        var id = $"c{Interlocked.Increment(ref made)}";
        return new InstanceSpec
        {
            Id = id,
            Labels = new Dictionary<string, string> { ["pod"] = "p-" + id },
            ImageDigest = ImageDigest,
            Args = args,
            Environment = [new("GREETING", "hello")],
            WorkingDirectory = "/",
            CgroupParent = "pods/" + id,
            Limits = new InstanceLimits(),
            LogPath = Path.Join(Folder, "logs", id + ".log"),
        };
    }

    internal async Task<Instance> ExitedAsync(string id, int seconds = 20)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        var changes = Runtime.WatchAsync(limit.Token).GetAsyncEnumerator(limit.Token);
        var next = changes.MoveNextAsync().AsTask();
        while (true)
        {
            var instance = await Runtime.GetAsync(id, limit.Token);
            if (instance!.Phase is InstancePhase.Exited or InstancePhase.Unknown) return instance;
            await next;
            next = changes.MoveNextAsync().AsTask();
        }
    }

    /// <summary>Runs to the end and gives back exit code and log without its framing.</summary>
    internal async Task<(Instance Instance, string Log)> RunAsync(InstanceSpec spec)
    {
        var outcome = await Runtime.StartAsync(spec, CancellationToken.None);
        Assert.True(outcome.Ok, outcome.Message);
        var instance = await ExitedAsync(spec.Id);
        return (instance, Log(spec));
    }

    internal static string Log(InstanceSpec spec)
    {
        var text = new StringBuilder();
        foreach (var line in File.ReadLines(spec.LogPath))
        {
            var parts = line.Split(' ', 4);
            text.Append(parts[3]);
            if (parts[2] == "F") text.Append('\n');
        }
        return text.ToString();
    }

    internal async Task<(int Code, string Output, string Error)> ExecAsync(string id, params string[] command)
    {
        var start = await Runtime.ExecAsync(id, new ExecRequest { Command = command, Stdout = true, Stderr = true }, CancellationToken.None);
        Assert.Null(start.Error);
        await using var streams = start.Value!;
        var output = new StreamReader(streams.Stdout!).ReadToEndAsync();
        var error = new StreamReader(streams.Stderr!).ReadToEndAsync();
        return (await streams.ExitCode.WaitAsync(TimeSpan.FromSeconds(60)), await output, await error);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var instance in await Runtime.ListAsync(CancellationToken.None)) await Runtime.RemoveAsync(instance.Id, CancellationToken.None);
        await Runtime.ResetAsync(CancellationToken.None);
        await Runtime.DisposeAsync();
        Images.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>Debian's static busybox with links for its commands, as an OCI layout folder.</summary>
internal static class BusyboxImage
{
    internal static void Write(string folder)
    {
        var busybox = new PaxTarEntry(TarEntryType.RegularFile, "bin/busybox") { DataStream = File.OpenRead("/bin/busybox"), Mode = (UnixFileMode)0b111_101_101 };
        var entries = new List<TarEntry> { TestImage.Folder("bin"), busybox, TestImage.Folder("etc"), TestImage.Folder("tmp") };
        foreach (var name in (string[])["sh", "echo", "cat", "id", "seq", "stty", "head", "tail", "dd", "mount", "unshare", "hostname", "ls", "true", "false", "env", "wc", "pwd", "touch", "kill", "ps", "mkdir", "nc", "httpd", "wget", "ip", "grep", "chmod", "yes", "stat", "date", "tr", "sort", "rm", "ln", "readlink", "tee", "usleep", "cp", "sleep"])
            entries.Add(TestImage.Link("bin/" + name, "busybox"));
        entries.Add(TestImage.Text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n"));
        entries.Add(TestImage.Text("etc/group", "root:x:0:\nweb:x:1001:\nlogs:x:2000:web\n"));
        var top = TestImage.Tar(TestImage.Text("etc/motd", "layer two"));
        TestImage.Build("""{"Cmd":["sh"],"Env":["PATH=/bin"]}""", TestImage.Tar([.. entries]), top).WriteLayout(folder, "latest");
    }
}
