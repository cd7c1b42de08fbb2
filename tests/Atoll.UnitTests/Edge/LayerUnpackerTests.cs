using System.Formats.Tar;
using Atoll.Edge.Content;

namespace Atoll.Tests.Edge;

/// <summary>Hostile and ordinary layers against a real file system; owners and whiteouts need root, as the agent has.</summary>
public sealed class LayerUnpackerTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("atoll-layer-").FullName;
    private readonly string root;

    public LayerUnpackerTests() => root = Directory.CreateDirectory(Path.Join(folder, "root")).FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Files_modes_links_and_times_are_kept()
    {
        var time = new DateTimeOffset(2001, 2, 3, 4, 5, 6, TimeSpan.Zero);
        var file = TestImage.Text("a/b", "content", 0b100_111_101_101);
        file.ModificationTime = time;
        await UnpackAsync(TestImage.Folder("a"), file, TestImage.HardLink("a/c", "a/b"), TestImage.Link("a/d", "b"));
        Assert.Equal("content", File.ReadAllText(Path.Join(root, "a/c")));
        Assert.Equal("b", new FileInfo(Path.Join(root, "a/d")).LinkTarget);
        Assert.True(File.GetUnixFileMode(Path.Join(root, "a/b")).HasFlag(UnixFileMode.SetUser));
        Assert.Equal(time.UtcDateTime, File.GetLastWriteTimeUtc(Path.Join(root, "a/b")));
    }

    [Theory]
    [InlineData("../outside")]
    [InlineData("a/../../outside")]
    public async Task A_path_that_leaves_is_refused(string name)
    {
        await Assert.ThrowsAsync<InvalidDataException>(() => UnpackAsync(TestImage.Text(name, "x")));
        Assert.Equal(["root"], Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("/", "atoll-probe")]
    [InlineData("../../..", "atoll-probe")]
    [InlineData("/etc", "etc/atoll-probe")]
    public async Task A_link_in_a_path_is_followed_inside_the_layer_only(string target, string expected)
    {
        await UnpackAsync(TestImage.Link("link", target), TestImage.Text("link/atoll-probe", "x"));
        Assert.False(File.Exists("/atoll-probe"));
        Assert.False(File.Exists("/etc/atoll-probe"));
        Assert.Equal("x", await File.ReadAllTextAsync(Path.Join(root, expected)));
    }

    [Fact]
    public async Task A_file_replaces_a_link_of_its_name_and_never_writes_through_it()
    {
        var outside = Path.Join(folder, "outside");
        await File.WriteAllTextAsync(outside, "mine");
        await UnpackAsync(TestImage.Link("x", outside), TestImage.Text("x", "theirs"));
        Assert.Equal("mine", await File.ReadAllTextAsync(outside));
        Assert.Equal("theirs", await File.ReadAllTextAsync(Path.Join(root, "x")));
    }

    [Theory]
    [InlineData("/etc/passwd")]
    [InlineData("../outside")]
    public async Task A_hard_link_never_leads_out(string target)
    {
        await File.WriteAllTextAsync(Path.Join(folder, "outside"), "mine");
        await Assert.ThrowsAsync<InvalidDataException>(() => UnpackAsync(TestImage.HardLink("x", target)));
        Assert.False(File.Exists(Path.Join(root, "x")));
    }

    [Fact]
    public async Task Sizes_and_counts_are_bounded()
    {
        await Assert.ThrowsAsync<InvalidDataException>(() => UnpackAsync(new LayerLimits(4096, 10), TestImage.Text("big", new string('x', 10_000))));
        await Assert.ThrowsAsync<InvalidDataException>(() => UnpackAsync(new LayerLimits(1 << 20, 2), TestImage.Text("a", ""), TestImage.Text("b", ""), TestImage.Text("c", "")));
    }

    [Fact]
    public async Task A_wrong_digest_is_refused()
    {
        var tar = TestImage.Tar(TestImage.Text("a", "x"));
        var unpacker = new LayerUnpacker(root, new LayerLimits(1 << 20, 10));
        await Assert.ThrowsAsync<InvalidDataException>(() => unpacker.UnpackAsync(new MemoryStream(tar), TestImage.Digest([1]), CancellationToken.None));
    }

    [Fact]
    public async Task Garbage_is_refused()
    {
        var garbage = new byte[4096];
        new Random(1).NextBytes(garbage);
        var unpacker = new LayerUnpacker(root, new LayerLimits(1 << 20, 10));
        await Assert.ThrowsAsync<InvalidDataException>(() => unpacker.UnpackAsync(new MemoryStream(garbage), TestImage.Digest(garbage), CancellationToken.None));
    }

    private Task UnpackAsync(params TarEntry[] entries) => UnpackAsync(new LayerLimits(1 << 20, 1000), entries);

    private async Task UnpackAsync(LayerLimits limits, params TarEntry[] entries)
    {
        var tar = TestImage.Tar(entries);
        await new LayerUnpacker(root, limits).UnpackAsync(new MemoryStream(tar), TestImage.Digest(tar), CancellationToken.None);
    }
}
