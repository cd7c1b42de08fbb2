using Atoll.Store;

namespace Atoll.UnitTests.Store;

public sealed class OwnFolderTests : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("own-").FullName;

    private OwnFolder Folder => new(_path, ["identity", "site.db*"], ["logs"]);

    private string[] There => [.. Directory.EnumerateFileSystemEntries(_path).Select(e => Path.GetFileName(e)).Order(StringComparer.Ordinal)];

    [Fact]
    public void A_folder_of_somebody_else_is_left_alone()
    {
        Directory.CreateDirectory(Path.Combine(_path, "logs"));
        Assert.True(Folder.IsForeign);
        Assert.Equal([Path.Combine(_path, "logs")], Folder.Delete());
        Assert.Equal(["logs"], There);
    }

    [Fact]
    public void What_is_beside_nothing_of_the_programs_is_no_hindrance_and_stays()
    {
        File.WriteAllText(Path.Combine(_path, "theirs"), "");
        Assert.False(Folder.IsForeign);
        Assert.Equal([Path.Combine(_path, "theirs")], Folder.Delete());
        Assert.Equal(["theirs"], There);
    }

    [Fact]
    public void The_programs_own_goes_and_what_another_put_beside_it_stays()
    {
        Directory.CreateDirectory(Path.Combine(_path, "identity"));
        File.WriteAllText(Path.Combine(_path, "identity", "key.pem"), "");
        File.WriteAllText(Path.Combine(_path, "site.db-wal"), "");
        Directory.CreateDirectory(Path.Combine(_path, "logs", "a"));
        File.WriteAllText(Path.Combine(_path, "theirs"), "");
        Assert.False(Folder.IsForeign);
        Assert.Equal([Path.Combine(_path, "theirs")], Folder.Delete());
        Assert.Equal(["theirs"], There);
    }

    [Fact]
    public void A_link_goes_and_what_it_leads_to_stays()
    {
        string elsewhere = Directory.CreateTempSubdirectory("own-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(elsewhere, "theirs"), "");
            Directory.CreateDirectory(Path.Combine(_path, "identity"));
            File.CreateSymbolicLink(Path.Combine(_path, "logs"), elsewhere);
            Assert.Empty(Folder.Delete());
            Assert.False(Directory.Exists(_path));
            Assert.True(File.Exists(Path.Combine(elsewhere, "theirs")));
        }
        finally
        {
            Directory.Delete(elsewhere, recursive: true);
        }
    }

    [Fact]
    public void Nothing_there_is_nobodys_and_can_be_deleted()
    {
        Assert.False(Folder.IsForeign);
        Assert.Empty(Folder.Delete());
        Assert.False(Directory.Exists(_path));
        Assert.False(Folder.IsForeign);
        Assert.Empty(Folder.Delete());
    }

    [Fact]
    public void What_a_file_system_has_at_its_root_makes_nobodys_folder_of_it()
    {
        Directory.CreateDirectory(Path.Combine(_path, "lost+found"));
        Assert.False(Folder.IsForeign);
        Folder.Delete();
        Assert.Equal(["lost+found"], There);
    }

    public void Dispose()
    {
        if (Directory.Exists(_path))
            Directory.Delete(_path, recursive: true);
    }
}
