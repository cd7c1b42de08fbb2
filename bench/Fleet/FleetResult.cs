namespace Atoll.Bench.Fleet;

/// <summary>Figures of one size of fleet; times in seconds, memory in MiB, bytes for each site as TCP carries them, TLS included. NaN: not reached.</summary>
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
    public double SteadyCpu { get; set; } = double.NaN;
    public double SteadyMemory { get; set; } = double.NaN;
    public double SteadyLive { get; set; } = double.NaN;
    public double IdleUp { get; set; } = double.NaN;
    public double IdleDown { get; set; } = double.NaN;
    public double ConfigAll { get; set; } = double.NaN;
    public double ConfigCpu { get; set; } = double.NaN;
    public double ConfigDown { get; set; } = double.NaN;
    public int ConfigSize { get; set; }
    public double RollStarted { get; set; } = double.NaN;
    public double RollReady { get; set; } = double.NaN;
    public double RollCpu { get; set; } = double.NaN;
    public double ListSeconds { get; set; } = double.NaN;
    public double ListBytes { get; set; }
    public double ListFirst { get; set; } = double.NaN;
    public double WatchLag { get; set; } = double.NaN;
    public double RestartServed { get; set; } = double.NaN;
    public double Resumed { get; set; } = double.NaN;
    public double ResumeCpu { get; set; } = double.NaN;
    public double ResumePeak { get; set; } = double.NaN;
    public double ResumeBytes { get; set; } = double.NaN;
    /// <summary>Of these, what the sessions themselves say.</summary>
    public double ResumeSpoken { get; set; } = double.NaN;
    public double ResumeP50 { get; set; } = double.NaN;
    public double ResumeP99 { get; set; } = double.NaN;
    public int ResumeCalls { get; set; }
    public int ResumeFailures { get; set; }
    public string ResumeEnds { get; set; } = "";
    public double DriverCpu { get; set; }
    public double DriverMemory { get; set; }
    public string Load { get; set; } = "";
    /// <summary>What was not reached in its time.</summary>
    public List<string> Missed { get; } = [];
}
