using System.Collections.Immutable;
using System.Globalization;

namespace Atoll.Scheduling.Fragments;

/// <summary>
/// Reads node lists and task traces in the format of Alibaba's GPU cluster trace (2023, "OpenB"): comma-separated with a header.
/// Nodes: <c>sn,cpu_milli,memory_mib,gpu,model</c>. Tasks: <c>name,cpu_milli,memory_mib,num_gpu,gpu_milli</c> and optionally
/// <c>gpu_spec</c> (models, divided by <c>|</c>); further columns are ignored, and fields may be quoted. An error names line and column.
/// </summary>
public static class OpenBFormat
{
    /// <summary>Lines of one file at most.</summary>
    public const int MaxLines = 2_000_000;

    /// <summary>Bytes of one file at most.</summary>
    public const long MaxBytes = 256 * 1024 * 1024;

    private const int MaxLineLength = 64 * 1024;

    /// <summary>A fleet from a node list.</summary>
    /// <exception cref="InvalidDataException">The text is not a node list.</exception>
    public static GpuFleet ReadNodes(TextReader text, string source)
    {
        var table = new Table(text, source, "sn", "cpu_milli", "memory_mib", "gpu", "model");
        var nodes = ImmutableArray.CreateBuilder<GpuNode>();
        var models = new List<string>();
        var names = new HashSet<string>();
        while (table.Next())
        {
            string name = table.Text(0);
            if (!names.Add(name))
                throw table.Error(0, $"node '{name}' occurs twice");
            int gpus = table.Number(3, GpuFleet.MaxGpusPerNode), model = -1;
            if (gpus > 0)
            {
                string modelName = table.Text(4);
                model = models.IndexOf(modelName);
                if (model < 0)
                {
                    if (models.Count == GpuFleet.MaxModels)
                        throw table.Error(4, $"more than {GpuFleet.MaxModels} GPU models");
                    model = models.Count;
                    models.Add(modelName);
                }
            }
            nodes.Add(new GpuNode(name, table.Number(1, int.MaxValue), table.Number(2, int.MaxValue), gpus, model));
        }
        if (nodes.Count == 0)
            throw new InvalidDataException($"{source}: no node in it");
        return new GpuFleet(nodes.DrainToImmutable(), [.. models]);
    }

    /// <summary>The tasks of a trace, in the order of their names.</summary>
    /// <exception cref="InvalidDataException">The text is not a task trace.</exception>
    public static ImmutableArray<GpuTask> ReadTasks(TextReader text, string source, GpuFleet fleet)
    {
        var table = new Table(text, source, "name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec?");
        var tasks = new List<(string Name, GpuTask Task)>();
        while (table.Next())
        {
            int gpus = table.Number(3, GpuFleet.MaxGpusPerNode);
            int milli = gpus == 0 ? 0 : table.Number(4, GpuTask.WholeGpu);
            if (gpus > 0 && milli == 0)
                throw table.Error(4, "a task with GPUs needs a share of them above 0");
            if (gpus > 1 && milli != GpuTask.WholeGpu)
                throw table.Error(4, $"a task of {gpus} GPUs takes whole ones ({GpuTask.WholeGpu})");
            tasks.Add((table.Text(0), new GpuTask(table.Number(1, int.MaxValue), table.Number(2, int.MaxValue), gpus, milli, Models(table, fleet))));
        }
        if (tasks.Count == 0)
            throw new InvalidDataException($"{source}: no task in it");
        // Names decide, so that the order of the file's lines does not; equal names stay in the file's order.
        int[] order = new int[tasks.Count];
        for (int i = 0; i < order.Length; i++)
            order[i] = i;
        Array.Sort(order, (a, b) => string.CompareOrdinal(tasks[a].Name, tasks[b].Name) is var c && c != 0 ? c : a.CompareTo(b));
        var result = ImmutableArray.CreateBuilder<GpuTask>(order.Length);
        foreach (int i in order)
            result.Add(tasks[i].Task);
        return result.MoveToImmutable();
    }

    // A model that the fleet does not have allows nothing; a task that names only such models fits nowhere.
    private static ulong Models(Table table, GpuFleet fleet)
    {
        string spec = table.Optional(5);
        if (spec.Length == 0)
            return 0;
        ulong models = 0;
        foreach (string name in spec.Split('|'))
        {
            int model = fleet.Models.IndexOf(name);
            models |= model >= 0 ? 1UL << model : GpuTask.AbsentModel;
        }
        return models;
    }

    /// <summary>Lines of comma-separated fields, found by the header's names.</summary>
    private sealed class Table
    {
        private readonly TextReader _text;
        private readonly string _source;
        private readonly string[] _names;
        private readonly int[] _place;
        private readonly int _columns;
        private string[] _fields = [];
        private int _line = 1;

        public Table(TextReader text, string source, params string[] names)
        {
            (_text, _source) = (text, source);
            string[] header = CsvLine.Split((text.ReadLine() ?? throw new InvalidDataException($"{source}: empty; expected a header with {string.Join(',', names).Replace("?", "", StringComparison.Ordinal)}"))
                .TrimStart('\uFEFF'));
            _columns = header.Length;
            _names = new string[names.Length];
            _place = new int[names.Length];
            for (int i = 0; i < names.Length; i++)
            {
                _names[i] = names[i].TrimEnd('?');
                _place[i] = Array.FindIndex(header, h => h.Trim() == _names[i]);
                if (_place[i] < 0 && !names[i].EndsWith('?'))
                    throw new InvalidDataException($"{source}: line 1: the header has no column '{_names[i]}'; expected {string.Join(',', names).Replace("?", "", StringComparison.Ordinal)}");
            }
        }

        public bool Next()
        {
            string? line;
            do
            {
                line = _text.ReadLine();
                if (line is null)
                    return false;
                if (++_line > MaxLines)
                    throw new InvalidDataException($"{_source}: more than {MaxLines} lines");
                if (line.Length > MaxLineLength)
                    throw new InvalidDataException($"{_source}: line {_line}: longer than {MaxLineLength} characters");
            }
            while (string.IsNullOrWhiteSpace(line));
            _fields = CsvLine.Split(line);
            if (_fields.Length != _columns)
                throw new InvalidDataException($"{_source}: line {_line}: {_fields.Length} fields where the header has {_columns}");
            return true;
        }

        public string Optional(int column) => _place[column] < 0 ? "" : _fields[_place[column]].Trim();

        public string Text(int column) => Optional(column) is { Length: > 0 } text ? text : throw Error(column, "empty");

        public int Number(int column, int most)
        {
            string text = Optional(column);
            // Some files write whole numbers as 4.0.
            if (!decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value) || value != decimal.Truncate(value))
                throw Error(column, $"'{text}' is not a whole number");
            return value <= most ? (int)value : throw Error(column, $"{text} is more than {most}");
        }

        public InvalidDataException Error(int column, string what) =>
            new($"{_source}: line {_line}, column {_place[column] + 1} ({_names[column]}): {what}");
    }
}
