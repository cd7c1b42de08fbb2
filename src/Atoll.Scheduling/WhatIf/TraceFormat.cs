using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.WhatIf;

/// <summary>A task of a trace: what it takes, when it comes and, unless it stays, when it goes.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Requests">What it takes, by Kubernetes' names and units.</param>
/// <param name="Arrive">Seconds from the beginning.</param>
/// <param name="Leave">Seconds from the beginning; null when it stays.</param>
/// <param name="Pod">The pod that it is, when it comes from a live fleet; else one is made of its requests.</param>
public sealed record TraceTask(string Name, IReadOnlyDictionary<string, string> Requests, double Arrive, double? Leave, KubeObject? Pod = null);

/// <summary>
/// Atoll's own traces and node lists: comma-separated with a header, quantities as Kubernetes writes them.
/// <para>Tasks: <c>name</c>, then any of <c>cpu</c>, <c>memory</c>, <c>arrive</c>, <c>leave</c> (seconds; empty is at the beginning, and
/// never), <c>count</c> (so many alike), and any other column is a resource by its name. Nodes: <c>name</c>, then any of <c>cpu</c>,
/// <c>memory</c>, <c>pods</c> (110), <c>region</c>, <c>site</c>, <c>count</c>, and resources by name. An error names line and column.</para>
/// </summary>
public static class TraceFormat
{
    /// <summary>Lines of one file at most.</summary>
    public const int MaxLines = 2_000_000;

    /// <summary>Tasks of one trace at most, counting those that a line stands for.</summary>
    public const int MaxTasks = 5_000_000;

    /// <summary>Nodes of one list at most.</summary>
    public const int MaxNodes = 200_000;

    private const int MaxLineLength = 64 * 1024, MaxColumns = 64;

    /// <summary>True when a header is one of a trace or node list of this format.</summary>
    public static bool IsHeader(string? line) => line is not null && CsvLine.Split(line.TrimStart('\uFEFF'))[0].Trim() == "name" && !line.Contains("cpu_milli", StringComparison.Ordinal);

    /// <summary>The tasks of a trace, by arrival and then in the file's order.</summary>
    /// <exception cref="InvalidDataException">The text is not a trace.</exception>
    public static IReadOnlyList<TraceTask> ReadTasks(TextReader text, string source)
    {
        var tasks = new List<TraceTask>();
        foreach (Line line in Lines(text, source, ["arrive", "leave", "count"]))
        {
            double arrive = line.Seconds("arrive") ?? 0;
            double? leave = line.Seconds("leave");
            if (leave < arrive)
                throw line.Error("leave", $"{leave} is before it arrives ({arrive})");
            int count = line.Count();
            if (tasks.Count + count > MaxTasks)
                throw line.Error("count", $"more than {MaxTasks} tasks");
            if (line.Requests.Count == 0)
                throw line.Error("name", "the task asks for nothing: give cpu, memory or another resource");
            for (int i = 0; i < count; i++)
                tasks.Add(new TraceTask(count == 1 ? line.Name : $"{line.Name}-{i}", line.Requests, arrive, leave));
        }
        return tasks.Count == 0 ? throw new InvalidDataException($"{source}: no task in it") : [.. tasks.OrderBy(t => t.Arrive)];
    }

    /// <summary>The nodes of a list, ready and empty.</summary>
    /// <exception cref="InvalidDataException">The text is not a node list.</exception>
    public static IReadOnlyList<KubeObject> ReadNodes(TextReader text, string source)
    {
        var nodes = new List<KubeObject>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (Line line in Lines(text, source, ["region", "site", "count"]))
        {
            int count = line.Count();
            if (nodes.Count + count > MaxNodes)
                throw line.Error("count", $"more than {MaxNodes} nodes");
            for (int i = 0; i < count; i++)
            {
                string name = count == 1 ? line.Name : $"{line.Name}-{i}";
                nodes.Add(names.Add(name) ? Node(name, line) : throw line.Error("name", $"node '{name}' occurs twice"));
            }
        }
        return nodes.Count == 0 ? throw new InvalidDataException($"{source}: no node in it") : nodes;
    }

    private static KubeObject Node(string name, Line line)
    {
        var labels = new JsonObject { [WellKnown.HostnameLabel] = name };
        if (line.Text("region") is { Length: > 0 } region)
            labels[WellKnown.RegionLabel] = region;
        if (line.Text("site") is { Length: > 0 } site)
            (labels[WellKnown.ZoneLabel], labels[WellKnown.SiteLabel]) = (site, site);
        var allocatable = new JsonObject { ["pods"] = "110" };
        foreach (KeyValuePair<string, string> amount in line.Requests)
            allocatable[amount.Key] = amount.Value;
        // None is another number than none given.
        if (line.Text("pods") is { Length: > 0 } pods)
            allocatable["pods"] = pods;
        return KubeObject.FromNode(new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Node",
            ["metadata"] = new JsonObject { ["name"] = name, ["uid"] = "node-" + name, ["labels"] = labels },
            ["spec"] = new JsonObject(),
            ["status"] = new JsonObject { ["allocatable"] = allocatable, ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = "True" }) },
        });
    }

    private static IEnumerable<Line> Lines(TextReader text, string source, string[] special)
    {
        string[] header = CsvLine.Split((text.ReadLine() ?? throw new InvalidDataException($"{source}: empty; expected a header that begins with name")).TrimStart('\uFEFF'));
        for (int i = 0; i < header.Length; i++)
            header[i] = header[i].Trim();
        if (header[0] != "name")
            throw new InvalidDataException($"{source}: line 1, column 1: the header begins with '{header[0]}'; expected name");
        if (header.Length > MaxColumns || header.Distinct(StringComparer.Ordinal).Count() != header.Length)
            throw new InvalidDataException($"{source}: line 1: a column occurs twice, or there are more than {MaxColumns}");
        int number = 1;
        while (text.ReadLine() is { } line)
        {
            if (++number > MaxLines)
                throw new InvalidDataException($"{source}: more than {MaxLines} lines");
            if (line.Length > MaxLineLength)
                throw new InvalidDataException($"{source}: line {number}: longer than {MaxLineLength} characters");
            if (string.IsNullOrWhiteSpace(line) || line[0] == '#')
                continue;
            string[] fields = CsvLine.Split(line);
            if (fields.Length != header.Length)
                throw new InvalidDataException($"{source}: line {number}: {fields.Length} fields where the header has {header.Length}");
            yield return new Line(source, number, header, fields, special);
        }
    }

    private sealed class Line
    {
        private readonly string _source;
        private readonly int _number;
        private readonly string[] _header, _fields;

        public Line(string source, int number, string[] header, string[] fields, string[] special)
        {
            (_source, _number, _header, _fields) = (source, number, header, fields);
            Name = fields[0].Trim() is { Length: > 0 } name ? name : throw Error("name", "empty");
            var requests = new Dictionary<string, string>(StringComparer.Ordinal);
            for (int i = 1; i < fields.Length; i++)
            {
                string text = fields[i].Trim();
                if (text.Length == 0 || Array.IndexOf(special, header[i]) >= 0)
                    continue;
                if (!Quantity.TryParse(text, out Quantity amount) || amount < Quantity.Zero)
                    throw Error(header[i], $"'{text}' is no quantity such as 4, 500m or 8Gi");
                if (amount > Quantity.Zero)
                    requests[header[i]] = text;
            }
            Requests = requests;
        }

        public string Name { get; }

        public IReadOnlyDictionary<string, string> Requests { get; }

        public string Text(string column) => Array.IndexOf(_header, column) is >= 0 and int at ? _fields[at].Trim() : "";

        public double? Seconds(string column) => Text(column) is not { Length: > 0 } text ? null
            : double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && double.IsFinite(value) ? value : throw Error(column, $"'{text}' is no number of seconds");

        public int Count() => Text("count") is not { Length: > 0 } text ? 1
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value is >= 1 and <= 1_000_000 ? value : throw Error("count", $"'{text}' is no whole number from 1 to 1000000");

        public InvalidDataException Error(string column, string what) => new($"{_source}: line {_number}, column {Array.IndexOf(_header, column) + 1} ({column}): {what}");
    }
}
