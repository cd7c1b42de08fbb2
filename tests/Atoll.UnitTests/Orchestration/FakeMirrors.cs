using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;

namespace Atoll.UnitTests.Orchestration;

/// <summary>Shows the copies of a cluster what happened in an API, in its order, when it is asked to.</summary>
internal sealed class FakeMirrors(FakeApi api, Cluster cluster)
{
    private readonly Dictionary<(ResourceType, string), KubeObject> _mirrored = [];
    private int _cursor;

    /// <summary>Shows what was not shown yet.</summary>
    public void Pump()
    {
        for (; _cursor < api.Log.Count; _cursor++)
        {
            (_, ResourceType type, WatchEventType kind, KubeObject value) = api.Log[_cursor];
            if (cluster.Find(type) is not { } copy)
                continue;
            _mirrored.TryGetValue((type, value.Key), out KubeObject? old);
            if (kind == WatchEventType.Deleted)
                _mirrored.Remove((type, value.Key));
            else
                _mirrored[(type, value.Key)] = value;
            copy.Seen(kind == WatchEventType.Deleted ? old ?? value : old, kind == WatchEventType.Deleted ? null : value);
        }
    }
}
