using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;

namespace Atoll.Simulation.Whole;

/// <summary>A node's hardware: what outlives the agent, which is the instances of its runtime and the records of its pods.</summary>
internal sealed class Machine(World world, Node node)
{
    private int _life;

    /// <summary>What the runtime lists, by instance id.</summary>
    public Dictionary<string, Instance> Instances { get; } = new(StringComparer.Ordinal);

    /// <summary>The records of pods, each flushed before anything is done that follows from it.</summary>
    public Dictionary<string, PodRecord> Records { get; } = new(StringComparer.Ordinal);

    /// <summary>How pods ended that have left this node, as their records say it.</summary>
    public Dictionary<string, PodRecord> Ended { get; } = new(StringComparer.Ordinal);

    /// <summary>
    /// Starts an instance; a second call with the same id does nothing. It is carried out even when the caller dies. With
    /// <paramref name="forMs"/> it comes to its end by itself, well.
    /// </summary>
    public void Start(string id, IReadOnlyDictionary<string, string> labels, int? forMs, Action done)
    {
        int life = _life;
        world.At(5 + world.Below(60), () =>
        {
            if (life == _life && !Instances.ContainsKey(id))
            {
                Instances[id] = new Instance(id, InstancePhase.Running, labels, world.Time.GetUtcNow(), null, 0, false, 1);
                world.Checks.Started(node, Instances[id]);
                if (forMs is { } ms)
                    world.At(ms, () =>
                    {
                        if (life == _life)
                            Exit(id, 0);
                        node.Agent?.Nudge();
                    });
            }
            done();
        });
    }

    public void Stop(string id, Action done)
    {
        int life = _life;
        if (Instances.TryGetValue(id, out Instance? instance))
            world.Checks.Stopping(node, instance);
        world.At(10 + world.Below(900), () =>
        {
            if (life == _life)
                Exit(id, 137);
            done();
        });
    }

    public void Exit(string id, int code)
    {
        if (Instances.TryGetValue(id, out Instance? instance) && instance.Phase == InstancePhase.Running)
            Instances[id] = instance with { Phase = InstancePhase.Exited, ExitCode = code, FinishedAt = world.Time.GetUtcNow() };
    }

    public void Remove(string id, Action done) => world.At(1 + world.Below(20), () =>
    {
        Instances.Remove(id);
        done();
    });

    /// <summary>Everything that ran is gone; what is on the disk stays.</summary>
    public void PowerOff()
    {
        _life++;
        Instances.Clear();
    }

    public void Replace()
    {
        PowerOff();
        Records.Clear();
        Ended.Clear();
    }
}
