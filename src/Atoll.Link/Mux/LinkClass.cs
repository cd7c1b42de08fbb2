namespace Atoll.Link;

/// <summary>Class of traffic on a link; a lower number goes first, always.</summary>
public enum LinkClass
{
    /// <summary>State: the session itself, but for events. No stream can be of it.</summary>
    Session = 0,

    /// <summary>Exec, logs, attach, port-forward, API calls.</summary>
    Tunnel = 1,

    /// <summary>What nobody waits for: a site's events, which are frames of its session, and streams that are opened in it.</summary>
    Telemetry = 2,

    /// <summary>Images and packages.</summary>
    Content = 3,
}
