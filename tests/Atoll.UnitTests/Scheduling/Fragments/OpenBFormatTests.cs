using Atoll.Scheduling.Fragments;

namespace Atoll.UnitTests.Scheduling.Fragments;

/// <summary>Reading node lists and task traces, and what is said about lines that are wrong.</summary>
public sealed class OpenBFormatTests
{
    private const string Nodes = "sn,cpu_milli,memory_mib,gpu,model\nn-0,64000,262144,2,P100\nn-1,96000,393216,8,G2\nn-2,32000,65536,0,\n";

    [Fact]
    public void Reads_nodes_and_tasks_in_the_order_of_their_names()
    {
        GpuFleet fleet = OpenBFormat.ReadNodes(new StringReader(Nodes), "nodes.csv");
        Assert.Equal(["P100", "G2"], fleet.Models);
        Assert.Equal((10, 192_000L, -1), (fleet.Gpus, fleet.CpuMilli, fleet.Nodes[2].Model));
        var tasks = OpenBFormat.ReadTasks(new StringReader("""
            name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos
            b,8000,1024,1,470,G2|P100,LS
            a,4000.0,2048,0,0,,LS

            c,64000,1,8,1000,G2,BE
            """), "tasks.csv", fleet);
        Assert.Equal([new(4000, 2048, 0, 0, 0), new(8000, 1024, 1, 470, 3), new(64000, 1, 8, 1000, 2)], tasks);
    }

    [Fact]
    public void Columns_are_found_by_name_and_the_model_column_may_be_absent()
    {
        GpuFleet fleet = OpenBFormat.ReadNodes(new StringReader("model,gpu,memory_mib,cpu_milli,sn\nT4,1,10,20,x\n"), "n");
        Assert.Equal(new GpuNode("x", 20, 10, 1, 0), fleet.Nodes[0]);
        Assert.Equal([new GpuTask(1, 2, 1, 1000, 0)], OpenBFormat.ReadTasks(new StringReader("name,cpu_milli,memory_mib,num_gpu,gpu_milli\nt,1,2,1,1000\n"), "t", fleet));
    }

    [Fact]
    public void Fields_may_be_quoted_and_blank_lines_are_none()
    {
        GpuFleet fleet = OpenBFormat.ReadNodes(new StringReader("\"sn\",\"cpu_milli\",\"memory_mib\",\"gpu\",\"model\"\r\n\"a, \"\"b\"\"\",\"20\",10,1,\"T4\"\r\n  \r\n"), "n");
        Assert.Equal(new GpuNode("a, \"b\"", 20, 10, 1, 0), Assert.Single(fleet.Nodes));
    }

    [Theory]
    [InlineData("sn,cpu_milli,memory_mib,gpu\n", "nodes.csv: line 1: the header has no column 'model'; expected sn,cpu_milli,memory_mib,gpu,model")]
    [InlineData("", "nodes.csv: empty; expected a header with sn,cpu_milli,memory_mib,gpu,model")]
    [InlineData("sn,cpu_milli,memory_mib,gpu,model\n", "nodes.csv: no node in it")]
    [InlineData("sn,cpu_milli,memory_mib,gpu,model\na,1,1,0,\na,1,1,0,\n", "nodes.csv: line 3, column 1 (sn): node 'a' occurs twice")]
    [InlineData("sn,cpu_milli,memory_mib,gpu,model\na,1,1,17,T4\n", "nodes.csv: line 2, column 4 (gpu): 17 is more than 16")]
    [InlineData("sn,cpu_milli,memory_mib,gpu,model\na,1,-1,1,T4\n", "nodes.csv: line 2, column 3 (memory_mib): '-1' is not a whole number")]
    [InlineData("sn,cpu_milli,memory_mib,gpu,model\na,1,1,1,\n", "nodes.csv: line 2, column 5 (model): empty")]
    [InlineData("sn,cpu_milli,memory_mib,gpu,model\na,1,1\n", "nodes.csv: line 2: 3 fields where the header has 5")]
    public void Says_where_a_node_list_is_wrong(string text, string message) =>
        Assert.Equal(message, Assert.Throws<InvalidDataException>(() => OpenBFormat.ReadNodes(new StringReader(text), "nodes.csv")).Message);

    [Fact]
    public void A_task_of_models_that_no_node_has_is_read_and_fits_nowhere()
    {
        GpuFleet fleet = OpenBFormat.ReadNodes(new StringReader(Nodes), "nodes.csv");
        var tasks = OpenBFormat.ReadTasks(new StringReader("name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\na,1,1,1,1000,H100|A10\nb,1,1,1,1000,H100|G2\n"), "t", fleet);
        var state = new FleetState(fleet);
        Assert.Equal((false, false, false, true), (state.Fits(tasks[0], 0), state.Fits(tasks[0], 1), state.Fits(tasks[1], 0), state.Fits(tasks[1], 1)));
    }

    [Theory]
    [InlineData("t,1,1,1,0,", "tasks.csv: line 2, column 5 (gpu_milli): a task with GPUs needs a share of them above 0")]
    [InlineData("t,1,1,2,500,", "tasks.csv: line 2, column 5 (gpu_milli): a task of 2 GPUs takes whole ones (1000)")]
    [InlineData("t,1,1,1,1001,", "tasks.csv: line 2, column 5 (gpu_milli): 1001 is more than 1000")]
    [InlineData("t,x,1,1,1000,", "tasks.csv: line 2, column 2 (cpu_milli): 'x' is not a whole number")]
    [InlineData("t,1.5,1,1,1000,", "tasks.csv: line 2, column 2 (cpu_milli): '1.5' is not a whole number")]
    [InlineData(",1,1,1,1000,", "tasks.csv: line 2, column 1 (name): empty")]
    public void Says_where_a_trace_is_wrong(string line, string message)
    {
        GpuFleet fleet = OpenBFormat.ReadNodes(new StringReader(Nodes), "nodes.csv");
        string text = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n" + line + "\n";
        Assert.Equal(message, Assert.Throws<InvalidDataException>(() => OpenBFormat.ReadTasks(new StringReader(text), "tasks.csv", fleet)).Message);
    }

    [Fact]
    public void A_line_too_long_and_a_file_with_too_many_lines_are_refused()
    {
        Assert.Contains("longer than", Assert.Throws<InvalidDataException>(
            () => OpenBFormat.ReadNodes(new StringReader("sn,cpu_milli,memory_mib,gpu,model\n" + new string('x', 70_000)), "n")).Message, StringComparison.Ordinal);
        Assert.Contains("more than 2000000 lines", Assert.Throws<InvalidDataException>(
            () => OpenBFormat.ReadNodes(new StringReader("sn,cpu_milli,memory_mib,gpu,model\n" + new string('\n', OpenBFormat.MaxLines)), "n")).Message, StringComparison.Ordinal);
    }
}
