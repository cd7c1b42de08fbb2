using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Atoll.Store;
using Atoll.Store.Sqlite;

namespace Atoll.UnitTests.Store;

/// <summary>
/// A process that writes is killed at random moments; what it was told to be written must be there. The process is this
/// test program itself: with <see cref="ChildVariable"/> set it writes instead of testing. How often: <see cref="Rounds"/>.
/// </summary>
public sealed class CrashTests
{
    private const string ChildVariable = "ATOLL_TEST_STORE_WRITER";

    // Outstanding at any time, so that a kill meets transactions in every state.
    private const int Outstanding = 16, Keys = 7;

    [Fact]
    public async Task Every_acknowledged_write_survives_kill_9()
    {
        string folder = Directory.CreateTempSubdirectory("atoll-crash-").FullName;
        string path = Path.Combine(folder, "a.db");
        int rounds = Rounds.Count;
        var random = new Random(Rounds.Seed(20_260_101));
        long acknowledged = 0, revision = 0;
        for (int round = 0; round < rounds; round++)
        {
            (long number, long atRevision) = await WriteAndKillAsync(path, random.Next(1, 150));
            Assert.True(number > acknowledged && atRevision > revision, $"round {round}: {number} at {atRevision} after {acknowledged} at {revision}");
            (acknowledged, revision) = (number, atRevision);
            await CheckAsync(path, acknowledged, revision, round);
        }
        Directory.Delete(folder, recursive: true);
        TestContext.Current.TestOutputHelper?.WriteLine($"{rounds} kills, {acknowledged} acknowledged writes");
    }

    private static async Task<(long Number, long Revision)> WriteAndKillAsync(string path, int lines)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, UseShellExecute = false };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(CrashTests).Assembly.Location);
        start.Environment[ChildVariable] = path;
        using Process child = Process.Start(start)!;
        (long, long) last = default;
        for (int i = 0; await child.StandardOutput.ReadLineAsync() is { } line; i++)
        {
            if (i == lines)
                child.Kill();
            // What is still in the pipe was acknowledged too. A last line may be cut.
            string[] parts = line.Split(' ');
            if (parts is [var number, var revision, "."])
                last = (long.Parse(number, CultureInfo.InvariantCulture), long.Parse(revision, CultureInfo.InvariantCulture));
        }
        await child.WaitForExitAsync();
        Assert.Equal(137, child.ExitCode);
        return last;
    }

    // Each number has a revision of its own and goes to key number % Keys, so the whole state follows from how many there are.
    private static async Task CheckAsync(string path, long acknowledged, long revision, int round)
    {
        await using SqliteStore store = await SqliteStore.OpenAsync(path, new SqliteStoreOptions { QuickCheck = true }, default);
        Assert.True(store.CurrentRevision >= revision, $"round {round}: the revision went back from {revision} to {store.CurrentRevision}");
        long written = store.CurrentRevision - (store.Epoch << 48);
        Assert.InRange(written, acknowledged, long.MaxValue);
        StoreRange range = await store.RangeAsync("k"u8.ToArray(), "l"u8.ToArray(), 0, 0, default);
        Assert.Equal(
            Enumerable.Range(0, Keys).Select(k => written - ((written - k) % Keys + Keys) % Keys).Where(n => n > 0),
            range.Entries.Select(e => long.Parse(Encoding.UTF8.GetString(e.Value.Span), CultureInfo.InvariantCulture)));
    }

    // Runs before Main. On this one thread: no other thread may touch this assembly before its initialiser has ended.
    [ModuleInitializer]
    internal static void WriteWhenAsked()
    {
        if (Environment.GetEnvironmentVariable(ChildVariable) is not { Length: > 0 } path)
            return;
        SqliteStore store = SqliteStore.OpenAsync(path, new SqliteStoreOptions { KeepRevisions = 50 }, default).GetAwaiter().GetResult();
        using Stream output = Console.OpenStandardOutput();
        var waiting = new Queue<(long Number, Task<StoreResult> Call)>();
        for (long number = store.CurrentRevision - (store.Epoch << 48) + 1; ; number++)
        {
            waiting.Enqueue((number, store.TransactAsync(new StoreTransaction([], [new StoreWrite(Encoding.UTF8.GetBytes($"k{number % Keys}"), Encoding.UTF8.GetBytes($"{number}"))]), default).AsTask()));
            if (waiting.Count < Outstanding)
                continue;
            (long done, Task<StoreResult> call) = waiting.Dequeue();
            output.Write(Encoding.UTF8.GetBytes($"{done} {call.GetAwaiter().GetResult().Revision} .\n"));
        }
    }
}
