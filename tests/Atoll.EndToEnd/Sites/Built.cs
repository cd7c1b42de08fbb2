namespace Atoll.EndToEnd.Sites;

/// <summary>The programs under test: what the make targets built, else what this solution's debug build made.</summary>
internal static class Built
{
    private static readonly string s_root = Root();

    internal static string Agent => First(Environment.GetEnvironmentVariable("ATOLL_AGENT"), "artifacts/agent/atoll-agent", "src/Atoll.Agent/bin/Debug/net10.0/atoll-agent");

    internal static string Atoll => First(Environment.GetEnvironmentVariable("ATOLL_PROGRAM"), "artifacts/atoll/atoll", "src/Atoll.Cloud/bin/Debug/net10.0/atoll");

    internal static string Sample => First("samples/hello/hello.yaml");

    private static string First(params string?[] paths) =>
        paths.OfType<string>().Where(p => p.Length > 0).Select(p => Path.GetFullPath(p, s_root)).FirstOrDefault(File.Exists)
        ?? throw new FileNotFoundException($"none of these is built: {string.Join(", ", paths)}. Run: make build");

    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Atoll.slnx")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new DirectoryNotFoundException("the repository's root is not above the tests");
    }
}
