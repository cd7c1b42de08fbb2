namespace Atoll.Bench.Fleet;

/// <summary>Figures of one size of fleet; times in seconds, memory in MiB, bytes for each site as TCP carries them, TLS included.</summary>
internal sealed record FleetResult
{
    public required int Sites { get; init; }
    public required int Nodes { get; init; }
    public required int Pods { get; init; }
    public double Served { get; set; }
    public double FirstSync { get; set; }
    public double FirstSyncCpu { get; set; }
    public double FirstSyncBytes { get; set; }
    /// <summary>Percent of one core.</summary>
    public double SteadyCpu { get; set; }
    public double SteadyMemory { get; set; }
    public double SteadyLive { get; set; }
    public double IdleUp { get; set; }
    public double IdleDown { get; set; }
    public double ConfigAll { get; set; }
    public double ConfigCpu { get; set; }
    public double ConfigDown { get; set; }
    public int ConfigSize { get; set; }
    public double RollStarted { get; set; }
    public double RollReady { get; set; }
    public double RollCpu { get; set; }
    public double ListSeconds { get; set; }
    public double ListBytes { get; set; }
    public double ListFirst { get; set; }
    public double WatchLag { get; set; }
    public double RestartServed { get; set; }
    public double Resumed { get; set; }
    public double ResumeCpu { get; set; }
    public double ResumePeak { get; set; }
    public double ResumeBytes { get; set; }
    /// <summary>Of these, what the sessions themselves say.</summary>
    public double ResumeSpoken { get; set; }
    public double ResumeP50 { get; set; }
    public double ResumeP99 { get; set; }
    public int ResumeCalls { get; set; }
    public int ResumeFailures { get; set; }
    public string ResumeEnds { get; set; } = "";
    public double DriverCpu { get; set; }
    public double DriverMemory { get; set; }
    public string Load { get; set; } = "";
}
