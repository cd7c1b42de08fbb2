using System.Collections.Concurrent;
using Atoll.Edge.Content;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Atoll.Tests.Edge;

/// <summary>Pulls from a registry in this process that cuts, corrupts and refuses as told.</summary>
public sealed class ImagePullTests : IAsyncDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("atoll-pull-").FullName;
    private readonly ConcurrentQueue<string> requests = new();
    private readonly TestImage image;
    private WebApplication? server;
    private Func<HttpContext, string, byte[], Task<bool>> trouble = (_, _, _) => Task.FromResult(false);

    public ImagePullTests()
    {
        var bytes = new byte[400_000];
        new Random(7).NextBytes(bytes);
        image = TestImage.Build("""{"Entrypoint":["/app"],"Cmd":null,"Env":["A=b"],"StopSignal":"SIGINT"}""", TestImage.Tar(TestImage.Text("big", Convert.ToBase64String(bytes))), TestImage.Tar(TestImage.Text("small", "x")));
    }

    public async ValueTask DisposeAsync()
    {
        if (server is not null) await server.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_pull_brings_layers_and_defaults_and_a_digest_then_works_offline()
    {
        var name = await StartAsync();
        using var store = Open();
        var pull = await store.PullAsync(name + ":v1", null, CancellationToken.None);
        Assert.Null(pull.Message);
        Assert.Equal(image.ManifestDigest, pull.Image!.Digest);
        Assert.Equal(["/app"], pull.Image.Entrypoint);
        Assert.Equal(["A=b"], pull.Image.Environment);
        Assert.Equal(2, pull.Image.StopSignal);
        Assert.Equal("x", await File.ReadAllTextAsync(Path.Join(pull.Image.LayerPaths[1], "small")));
        Assert.Empty(Directory.EnumerateFiles(Path.Join(folder, "blobs")));
        await server!.StopAsync();
        using var again = Open();
        Assert.NotNull(await again.FindAsync(name + ":v1", CancellationToken.None));
        Assert.Equal(image.ManifestDigest, (await again.PullAsync($"{name}@{image.ManifestDigest}", null, CancellationToken.None)).Image?.Digest);
    }

    [Fact]
    public async Task A_cut_download_goes_on_where_it_stopped()
    {
        var cuts = 3;
        trouble = async (context, path, bytes) =>
        {
            if (!path.EndsWith(image.LayerDigests[0], StringComparison.Ordinal) || cuts-- <= 0) return false;
            var from = From(context);
            context.Response.StatusCode = from > 0 ? 206 : 200;
            context.Response.ContentLength = bytes.Length - from;
            if (from > 0) context.Response.Headers.ContentRange = $"bytes {from}-{bytes.Length - 1}/{bytes.Length}";
            await context.Response.Body.WriteAsync(bytes.AsMemory(from, 70_000));
            await context.Response.Body.FlushAsync();
            context.Abort();
            return true;
        };
        var name = await StartAsync();
        using var store = Open();
        var pull = await store.PullAsync(name, null, CancellationToken.None);
        Assert.Null(pull.Message);
        var ranges = requests.Where(r => r.Contains(image.LayerDigests[0], StringComparison.Ordinal)).Select(r => long.Parse(r.Split(' ')[1])).ToList();
        Assert.Equal(4, ranges.Count);
        Assert.True(ranges.SequenceEqual(ranges.Order()) && ranges[^1] > 0, string.Join(',', ranges));
    }

    [Fact]
    public async Task A_download_that_an_earlier_process_began_is_resumed()
    {
        var blob = image.Blobs[image.LayerDigests[0]];
        Directory.CreateDirectory(Path.Join(folder, "blobs"));
        await File.WriteAllBytesAsync(Path.Join(folder, "blobs", image.LayerDigests[0][7..]), blob[..100_000]);
        var name = await StartAsync();
        using var store = Open();
        Assert.Null((await store.PullAsync(name, null, CancellationToken.None)).Message);
        Assert.Contains(requests, r => r.StartsWith(image.LayerDigests[0] + " 100000", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Wrong_bytes_are_fetched_once_more_and_then_refused()
    {
        trouble = async (context, path, bytes) =>
        {
            if (!path.EndsWith(image.LayerDigests[0], StringComparison.Ordinal)) return false;
            var wrong = (byte[])bytes.Clone();
            wrong[1000] ^= 1;
            await context.Response.Body.WriteAsync(wrong);
            return true;
        };
        var name = await StartAsync();
        using var store = Open();
        var pull = await store.PullAsync(name, null, CancellationToken.None);
        Assert.Equal("ErrImagePull", pull.Reason);
        Assert.Contains("digest", pull.Message);
        Assert.Equal(2, requests.Count(r => r.StartsWith(image.LayerDigests[0], StringComparison.Ordinal)));
        trouble = (_, _, _) => Task.FromResult(false);
        Assert.Null((await store.PullAsync(name, null, CancellationToken.None)).Message);
    }

    [Fact]
    public async Task Concurrent_pulls_of_one_name_share_the_work_and_errors_are_named()
    {
        var name = await StartAsync();
        using var store = Open();
        var pulls = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => store.PullAsync(name, null, CancellationToken.None)));
        Assert.All(pulls, p => Assert.NotNull(p.Image));
        Assert.Single(requests, r => r.StartsWith(image.LayerDigests[0], StringComparison.Ordinal));
        Assert.Equal("InvalidImageName", (await store.PullAsync("No Such", null, CancellationToken.None)).Reason);
        var missing = await store.PullAsync(name + "-other", null, CancellationToken.None);
        Assert.Equal("ErrImagePull", missing.Reason);
        Assert.Contains("not found", missing.Message);
    }

    [Fact]
    public async Task A_registry_out_of_reach_is_said_to_be_so_and_holds_up_nothing_that_is_here()
    {
        var name = await StartAsync();
        using var store = Open();
        Assert.NotNull((await store.PullAsync(name, null, CancellationToken.None)).Image);
        var asked = requests.Count;
        Assert.NotNull((await store.PullAsync(name, null, CancellationToken.None)).Image);
        Assert.Equal(asked + 1, requests.Count); // The manifest alone: nothing new to fetch.

        // A line that swallows everything: the first pull waits as long as its patience, the next not at all.
        using var silence = new SemaphoreSlim(0);
        trouble = async (context, _, _) =>
        {
            await silence.WaitAsync(context.RequestAborted);
            return true;
        };
        var watch = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal("RegistryUnavailable", (await store.PullAsync(name, null, CancellationToken.None)).Reason);
        Assert.InRange(watch.Elapsed.TotalSeconds, 1.4, 5);
        var quick = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal("RegistryUnavailable", (await store.PullAsync(name, null, CancellationToken.None)).Reason);
        Assert.True(quick.Elapsed < TimeSpan.FromSeconds(1));
        await server!.DisposeAsync();
        server = null;
        Assert.Equal("RegistryUnavailable", (await store.PullAsync(name + ":never-here", null, CancellationToken.None)).Reason);
        Assert.Equal("ErrImagePull", (await store.PullAsync($"oci:{folder}/nowhere:v1", null, CancellationToken.None)).Reason);
    }

    [Fact]
    public async Task Tokens_are_asked_for_with_the_credential()
    {
        trouble = (context, path, _) =>
        {
            if (context.Request.Headers.Authorization == "Bearer secret-token") return Task.FromResult(false);
            context.Response.StatusCode = 401;
            context.Response.Headers.WWWAuthenticate = $"Bearer realm=\"http://{context.Request.Host}/token\",service=\"reg\",scope=\"repository:app:pull\"";
            return Task.FromResult(true);
        };
        var name = await StartAsync();
        using var store = Open();
        Assert.NotNull((await store.PullAsync(name, new ImageCredential("me", "right"), CancellationToken.None)).Image);
        using var other = new ImageStore(new ImageStoreOptions { Folder = Path.Join(folder, "other") }, TimeProvider.System);
        Assert.Contains("access denied", (await other.PullAsync(name, new ImageCredential("me", "wrong"), CancellationToken.None)).Message);
    }

    [Fact]
    public async Task Collecting_takes_the_least_recently_used_and_never_one_in_use()
    {
        var name = await StartAsync();
        using var store = Open();
        var used = (await store.PullAsync(name, null, CancellationToken.None)).Image!;
        var layout = Path.Join(folder, "layout");
        TestImage.Build(TestImage.Tar(TestImage.Text("other", new string('y', 50_000)))).WriteLayout(layout, "v1");
        var unused = (await store.PullAsync($"oci:{layout}:v1", null, CancellationToken.None)).Image!;
        Assert.True(await store.CollectAsync(new HashSet<string> { used.Digest }, 0, CancellationToken.None) >= 50_000);
        Assert.False(Directory.Exists(unused.LayerPaths[0]));
        Assert.Equal(used.Digest, Assert.Single(await store.ListAsync(CancellationToken.None)).Digest);
        Assert.All(used.LayerPaths, p => Assert.True(Directory.Exists(p)));
    }

    [Fact]
    public async Task What_an_image_is_there_for_is_learnt_from_pulls_that_work_and_from_those_that_do_not()
    {
        var clock = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        ImageStore Store(string architecture) => new(new ImageStoreOptions { Folder = folder, Architecture = architecture }, clock);
        var layout = Path.Join(folder, "layout");
        TestImage.BuildFor("riscv64", "{}", TestImage.Tar(TestImage.Text("a", "b"))).WriteLayout(layout, "v1");
        using (var other = Store("arm64"))
        {
            var refused = await other.PullAsync($"oci:{layout}:v1", null, CancellationToken.None);
            Assert.Equal(("ErrImagePull", true), (refused.Reason, refused.Message!.Contains("no match for platform linux/arm64: the image is for riscv64", StringComparison.Ordinal)));
            Assert.Equal(["riscv64"], other.Architectures[$"oci:{layout}:v1"]);
            clock.Advance(TimeSpan.FromMinutes(61));
            Assert.Empty(other.Architectures);
        }
        using (var own = Store("riscv64"))
            Assert.NotNull((await own.PullAsync($"oci:{layout}:v1", null, CancellationToken.None)).Image);
        // It is kept with the image.
        using (var again = Store("riscv64"))
            Assert.Equal(["riscv64"], again.Architectures[$"oci:{layout}:v1"]);
        // An index tells all that it has, also to whom it has nothing for.
        TestImage both = TestImage.BuildFor("amd64", "{}", TestImage.Tar(TestImage.Text("c", "d")));
        string Entry(string architecture) => $$$"""{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{{{both.ManifestDigest}}}","size":{{{both.Manifest.Length}}},"platform":{"os":"linux","architecture":"{{{architecture}}}"}}""";
        string index = both.Index(Entry("arm64"), Entry("amd64"));
        both.WriteLayout(layout, "v2");
        File.WriteAllText(Path.Join(layout, "index.json"), index);
        foreach (var (architecture, reason) in new (string, string?)[] { ("arm64", null), ("s390x", "ErrImagePull") })
        {
            using var store = new ImageStore(new ImageStoreOptions { Folder = Path.Join(folder, architecture), Architecture = architecture }, clock);
            Assert.Equal(reason, (await store.PullAsync($"oci:{layout}:v2", null, CancellationToken.None)).Reason);
            Assert.Equal(["amd64", "arm64"], store.Architectures[$"oci:{layout}:v2"]);
        }
    }

    private ImageStore Open() => new(new ImageStoreOptions { Folder = folder, RetryDelay = TimeSpan.FromMilliseconds(1) }, TimeProvider.System);

    private async Task<string> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        server = builder.Build();
        server.Urls.Add("http://127.0.0.1:0");
        server.Run(ServeAsync);
        await server.StartAsync();
        return new Uri(server.Urls.First()).Authority + "/app";
    }

    private async Task ServeAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        if (path == "/token")
        {
            if (context.Request.Headers.Authorization == "Basic " + Convert.ToBase64String("me:right"u8)) await context.Response.WriteAsync("""{"token":"secret-token"}""");
            else context.Response.StatusCode = 401;
            return;
        }
        var name = path[(path.LastIndexOf('/') + 1)..];
        var bytes = path.StartsWith("/v2/app/manifests/", StringComparison.Ordinal) ? image.Manifest : image.Blobs.GetValueOrDefault(name);
        if (!path.StartsWith("/v2/app/", StringComparison.Ordinal) || bytes is null)
        {
            context.Response.StatusCode = 404;
            return;
        }
        requests.Enqueue($"{name} {From(context)}");
        if (await trouble(context, path, bytes)) return;
        var from = From(context);
        if (from > 0)
        {
            context.Response.StatusCode = 206;
            context.Response.Headers.ContentRange = $"bytes {from}-{bytes.Length - 1}/{bytes.Length}";
        }
        await context.Response.Body.WriteAsync(bytes.AsMemory(from));
    }

    private static int From(HttpContext context)
    {
        var range = context.Request.Headers.Range.ToString();
        return range.Length == 0 ? 0 : int.Parse(range["bytes=".Length..].TrimEnd('-'));
    }
}
