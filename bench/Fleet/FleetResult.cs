namespace Atoll.Bench.Fleet;

/// <summary>Figures of one size of fleet; times in seconds, memory in MiB, bytes for each site as TCP carries them, TLS included. A phase that is null was not reached.</summary>
internal sealed record FleetResult(int Sites, int Nodes, int Pods)
{
    public FirstSync? First { get; set; }
    public Steady? Steady { get; set; }
    public ConfigChange? Config { get; set; }
    public Rollout? Roll { get; set; }
    public Listing? List { get; set; }
    public Resumption? Resume { get; set; }
    public Watching? Watch { get; set; }
    /// <summary>Calls of the driver for which it got no connection, and tried again.</summary>
    public int HungUp { get; set; }
    /// <summary>Most memory of the centre, all phases but the restart.</summary>
    public double CentrePeak { get; set; }
    /// <summary>Most memory of the driver, which holds all sites.</summary>
    public double DriverMemory { get; set; }
    /// <summary>Day of the measurement, UTC.</summary>
    public string Day { get; set; } = "";
    /// <summary>Load of the machine before and after it: averages of one minute.</summary>
    public string Load { get; set; } = "";
    /// <summary>What was not reached in its time.</summary>
    public List<string> Missed { get; init; } = [];
}

/// <summary>All sites come for the first time, or (of the largest fleet) hold their scope already.</summary>
/// <param name="Served">From the start of the process to its first answer.</param>
/// <param name="Seconds">From the first dial until every site held its whole scope.</param>
/// <param name="Cpu">Processor time of the centre for it.</param>
/// <param name="Bytes">Of one site.</param>
internal sealed record FirstSync(double Served, double Seconds, double Cpu, double Bytes);

/// <summary>Nothing happens.</summary>
/// <param name="Cpu">Of the centre, percent of one core.</param>
/// <param name="Driver">Of the driver, percent of one core.</param>
/// <param name="Memory">Resident.</param>
/// <param name="Live">Of the managed heap, in use.</param>
/// <param name="Up">Bytes a second of one site.</param>
/// <param name="Down">Bytes a second of one site.</param>
internal sealed record Steady(double Cpu, double Driver, double Memory, double Live, double Up, double Down);

/// <summary>A ConfigMap that every site uses changes.</summary>
/// <param name="Seconds">Until all sites had it.</param>
/// <param name="Cpu">Processor time of the centre for it.</param>
/// <param name="Down">Bytes to one site.</param>
/// <param name="Size">Bytes of the object.</param>
internal sealed record ConfigChange(double Seconds, double Cpu, double Down, int Size);

/// <summary>A Deployment of one replica a site.</summary>
/// <param name="Started">Until every site had started its pod.</param>
/// <param name="Ready">Until the centre counted all as ready.</param>
/// <param name="Cpu">Processor time of the centre for it.</param>
internal sealed record Rollout(double Started, double Ready, double Cpu);

/// <summary>A user lists all pods and nodes, and watches one pod.</summary>
/// <param name="First">Until the first bytes.</param>
/// <param name="Seconds">Until the last.</param>
/// <param name="Bytes">Of the list.</param>
/// <param name="WatchLag">From a change at the site to the event of a watch.</param>
/// <param name="Paged">Until the last page, by pages of 500, one after the other.</param>
/// <param name="Cpu">Processor time of the centre for the whole list.</param>
/// <param name="Rise">By how much the centre's memory rose for the whole list, at most.</param>
/// <param name="PagedCpu">Processor time of the centre for the list by pages.</param>
/// <param name="PagedRise">By how much the centre's memory rose for the list by pages, at most.</param>
/// <param name="NodesSeconds">All nodes in one answer: until the last byte.</param>
/// <param name="NodesBytes">Of that answer.</param>
internal sealed record Listing(double First, double Seconds, double Bytes, double WatchLag, double Paged = double.NaN, double Cpu = double.NaN, double Rise = double.NaN, double PagedCpu = double.NaN, double PagedRise = double.NaN, double NodesSeconds = double.NaN, double NodesBytes = double.NaN);

/// <summary>Many watch all pods while one pod after the other is written.</summary>
/// <param name="Watchers">How many, a hundred to a connection.</param>
/// <param name="Opened">Until all were answered.</param>
/// <param name="Writes">Pods written, one each 100 ms.</param>
/// <param name="P50">From a write's sending to its event, in milliseconds: half of all events of all watchers took no longer.</param>
/// <param name="P99">99 of a hundred took no longer.</param>
/// <param name="Most">The longest.</param>
/// <param name="Written">From a write's sending to its answer, in milliseconds: half took no longer.</param>
/// <param name="Cpu">Processor time of the centre for the writes and their events.</param>
/// <param name="Rise">Memory of the centre with the watchers, more than before them.</param>
internal sealed record Watching(int Watchers, double Opened, int Writes, double P50, double P99, double Most, double Written, double Cpu, double Rise);

/// <summary>The centre was killed and started again; times from its start.</summary>
/// <param name="Served">Until it answered as ready.</param>
/// <param name="Seconds">Until every site was live again.</param>
/// <param name="Cpu">Processor time of the centre until then.</param>
/// <param name="Driver">Processor time of the driver.</param>
/// <param name="Peak">Most memory of the centre.</param>
/// <param name="Bytes">Of one site.</param>
/// <param name="Spoken">Of these, what the session itself said.</param>
/// <param name="Api">Calls of a user meanwhile.</param>
/// <param name="Ends">How dials and sessions ended, and how often.</param>
internal sealed record Resumption(double Served, double Seconds, double Cpu, double Driver, double Peak, double Bytes, double Spoken, ApiFigures Api, string Ends);

/// <summary>Figures of phases that may not have been reached.</summary>
internal static class Phases
{
    /// <summary>A figure of a phase; NaN when it was not reached.</summary>
    public static double Of<T>(this T? phase, Func<T, double> figure) where T : class => phase is null ? double.NaN : figure(phase);
}
