using System.Globalization;
using System.Text;
using Atoll.Api.Streams;
using Atoll.Edge.Instances;
using CsCheck;

namespace Atoll.UnitTests.Edge.Instances;

/// <summary>Reading CRI log files: whole, by lines, by time, over rotation, while they are written.</summary>
public sealed class LogReaderTests : IDisposable
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private readonly string _folder = Directory.CreateTempSubdirectory("atoll-log").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Current => Path.Combine(_folder, "0.log");

    private static string Entry(int second, string text, char tag = 'F') =>
        string.Create(CultureInfo.InvariantCulture, $"{s_start.AddSeconds(second):yyyy-MM-dd'T'HH:mm:ss.fffffff}00Z stdout {tag} {text}\n");

    private async Task<string> ReadAsync(LogRequest request, int attempt = 0)
    {
        using var output = new MemoryStream();
        await new LogReader(_folder, attempt, request, TimeProvider.System).CopyAsync(output, () => false, CancellationToken.None);
        return Encoding.UTF8.GetString(output.ToArray());
    }

    [Fact]
    public async Task A_log_is_read_once_whatever_else_lies_beside_it()
    {
        await File.WriteAllTextAsync(Current, Entry(0, "one") + Entry(1, "tw", 'P') + Entry(1, "o") + "nonsense\n" + Entry(2, ""));
        await File.WriteAllTextAsync(Path.Combine(_folder, "10.log"), Entry(0, "of another attempt"));
        Assert.Equal("one\ntwo\n\n", await ReadAsync(new LogRequest()));
        Assert.Equal("of another attempt\n", await ReadAsync(new LogRequest(), 10));
        Assert.Equal("", await ReadAsync(new LogRequest(), 3));
        Assert.Equal("2026-01-01T00:00:00.000000000Z one\n2026-01-01T00:00:01.000000000Z two\n2026-01-01T00:00:02.000000000Z \n", await ReadAsync(new LogRequest { Timestamps = true }));
        Assert.Equal("two\n\n", await ReadAsync(new LogRequest { SinceTime = s_start.AddSeconds(1) }));
        Assert.Equal("one\ntw", await ReadAsync(new LogRequest { LimitBytes = 6 }));
        Assert.Equal("", await ReadAsync(new LogRequest { TailLines = 0 }));
    }

    [Fact]
    public async Task A_line_longer_than_every_buffer_comes_whole()
    {
        string part = new('x', 8000);
        await File.WriteAllTextAsync(Current, string.Concat(Enumerable.Range(0, 40).Select(_ => Entry(0, part, 'P'))) + Entry(0, "end") + Entry(1, "next"));
        string log = await ReadAsync(new LogRequest());
        Assert.Equal(40 * 8000 + "end\nnext\n".Length, log.Length);
        Assert.Equal(log, await ReadAsync(new LogRequest { TailLines = 2 }));
        Assert.Equal("next\n", await ReadAsync(new LogRequest { TailLines = 1 }));
    }

    [Fact]
    public void Any_tail_of_any_files_is_the_end_of_the_whole() =>
        Gen.Select(Gen.Int[0, 60].Array[1, 4], Gen.Int[0, 130], Gen.Bool).Each(200, (counts, tail, open) =>
        {
            foreach (string old in Directory.GetFiles(_folder))
                File.Delete(old);
            var lines = new List<string>();
            for (int f = 0; f < counts.Length; f++)
            {
                var text = new StringBuilder();
                for (int i = 0; i < counts[f]; i++)
                {
                    lines.Add($"line {lines.Count}\n");
                    text.Append(i % 3 == 0 ? Entry(0, "line", 'P') + Entry(0, $" {lines.Count - 1}") : Entry(0, $"line {lines.Count - 1}"));
                }
                bool last = f == counts.Length - 1;
                if (last && open)
                {
                    lines.Add("prompt> ");
                    text.Append(Entry(0, "prompt> ", 'P'));
                }
                File.WriteAllText(last ? Current : $"{Current}.20260101-00000{f}.0000000", text.ToString());
            }
            string log = ReadAsync(new LogRequest { TailLines = tail }).GetAwaiter().GetResult();
            Assert.Equal(string.Concat(lines.Skip(Math.Max(0, lines.Count - tail))), log);
        });

    [Fact]
    public async Task Following_goes_over_rotation_and_ends_with_the_container()
    {
        await File.WriteAllTextAsync(Current, Entry(0, "0"));
        using var output = new MemoryStream();
        bool alive = true;
        Task following = new LogReader(_folder, 0, new LogRequest { Follow = true }, TimeProvider.System).CopyAsync(output, () => Volatile.Read(ref alive), CancellationToken.None);
        for (int i = 1; i < 12; i++)
        {
            await File.AppendAllTextAsync(Current, Entry(i, i.ToString(CultureInfo.InvariantCulture)));
            if (i % 4 == 0)
            {
                Assert.True(LogFiles.Rotate(_folder, 0, 10, 5, s_start.AddSeconds(i)));
                await File.WriteAllTextAsync(Current, "");
                await NodeWorld.UntilAsync(() => output.Length >= i * 2, "what was rotated");
            }
        }
        await File.AppendAllTextAsync(Current, Entry(12, "last"));
        Volatile.Write(ref alive, false);
        await following.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(string.Concat(Enumerable.Range(0, 12).Select(i => i + "\n")) + "last\n", Encoding.UTF8.GetString(output.ToArray()));
    }

    [Fact]
    public void Rotation_keeps_so_many_files_and_old_attempts_go()
    {
        for (int i = 0; i < 6; i++)
        {
            File.AppendAllText(Current, Entry(i, "x"));
            Assert.True(LogFiles.Rotate(_folder, 0, 10, 3, s_start.AddSeconds(i)));
        }
        Assert.False(LogFiles.Rotate(_folder, 0, 10, 3, s_start));
        Assert.Equal(2, LogFiles.Files(_folder, 0).Count); // Two old ones; the current is the third.
        File.WriteAllText(Path.Combine(_folder, "1.log"), "");
        File.WriteAllText(Path.Combine(_folder, "10.log"), "");
        LogFiles.KeepNewest(_folder, 2);
        Assert.Equal([10, 1], LogFiles.Attempts(_folder));
    }
}
