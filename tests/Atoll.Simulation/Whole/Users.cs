using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Link;

namespace Atoll.Simulation.Whole;

/// <summary>People and pipelines at the centre: they make, change, scale and delete workloads and what those refer to.</summary>
internal sealed class Users
{
    private const string Namespace = "default";

    private static readonly ResourceType[] s_lasting = [Kinds.Deployment, Kinds.StatefulSet, Kinds.DaemonSet], s_workloads = [.. s_lasting, Kinds.Job];

    private readonly World _world;
    private int _names;

    public Users(World world)
    {
        _world = world;
        Create(Kinds.Namespace, new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Namespace", ["metadata"] = new JsonObject { ["name"] = Namespace } });
        foreach (Site site in world.Sites)
            Create(Kinds.Site, new JsonObject { ["apiVersion"] = "edge.atoll.dev/v1alpha1", ["kind"] = "Site", ["metadata"] = new JsonObject { ["name"] = site.Name }, ["spec"] = new JsonObject { ["region"] = "r1" } });
    }

    /// <summary>Identities that an operator gave up by force: two of them at once are that operator's word.</summary>
    public HashSet<string> Forced { get; } = new(StringComparer.Ordinal);

    public void Act()
    {
        if (!_world.Centre.IsUp)
            return;
        if (_world.IsDeep && _world.Chance(_world.IsFull ? 16 : 8))
        {
            MakeWorkload(Kinds.Job);
            return;
        }
        int dice = _world.Below(100);
        if (dice < 20 && _world.IsWide && _world.Chance(30))
            MakeWorkload(Kinds.DaemonSet);
        else if (dice < 12)
            MakeWorkload(Kinds.Deployment);
        else if (dice < 20)
            MakeWorkload(Kinds.StatefulSet);
        else if (dice < 45)
            Patch(Pick(Kinds.Deployment, Kinds.StatefulSet), new JsonObject { ["spec"] = new JsonObject { ["replicas"] = _world.Below(4) } });
        else if (dice < 58)
            Update();
        else if (dice < 68)
            Delete(Pick(s_workloads));
        else if (dice < 80)
            Patch(Pick(Kinds.Secret, Kinds.ConfigMap), new JsonObject { ["data"] = new JsonObject { ["value"] = Number(_world.Below(1000)) } });
        else if (dice < 84)
            Replace();
        else if (dice < 92)
            Delete(Pick(Kinds.Pod));
        else if (dice < 94)
            Force(Pick(Kinds.Pod));
        else if (dice < 97)
            Patch(Pick(Kinds.Node), new JsonObject { ["spec"] = new JsonObject { ["unschedulable"] = _world.Chance(50) } });
        else
            Create(Kinds.Secret, Named("v1", "Secret", $"unused-{_names++}", new JsonObject { ["value"] = "c2VjcmV0" }));
    }

    /// <summary>Somebody deletes all pods of a site by force while it is out of reach: it finds most of what it runs gone when it returns.</summary>
    public void Purge(Site site)
    {
        if (!_world.Centre.IsUp)
            return;
        site.CutOff(3000 + _world.Below(15_000));
        foreach (KubeObject pod in _world.Centre.Api.All(Kinds.Pod))
            if (site.Find(pod.View(ApiJson.Default.Pod).Spec.NodeName ?? "") is not null)
                Force((Kinds.Pod, pod));
    }

    /// <summary>
    /// An operator looks, again and again, at what sites keep and the centre does not know, and decides: first about pods, then about what they needed.
    /// What cannot be adopted, because another pod has got its name meanwhile, is to stop after all.
    /// </summary>
    public void Operate()
    {
        if (_world.Centre.IsUp && (!_world.Faulty || _world.Chance(40)))
            foreach (Site site in _world.Sites)
                _world.Centre.Decide(site, Decisions);
        _world.At(3000 + _world.Below(4000), Operate);
    }

    private JsonArray Decisions(IReadOnlyList<HeldItem> offered, IReadOnlyList<OrphanDecision> before)
    {
        bool IsPod(HeldItem item) => item.Kind == Kinds.Pod.GroupResource;
        bool IsTaken(OrphanDecision word) => word.Action == "Adopt" && offered.Any(i => i.Uid == word.Uid && IsPod(i) && _world.Centre.Api.Find(Kinds.Pod, i.Name) is { } other && other.Uid != i.Uid);
        var said = new JsonArray();
        if (before.Any(IsTaken))
            foreach (OrphanDecision word in before)
                said.Add(new JsonObject { ["uid"] = word.Uid, ["action"] = IsTaken(word) ? "Stop" : word.Action });
        if (before.Count > 0)
            return said;
        foreach (HeldItem item in offered)
        {
            // A node registers anew by itself.
            if (item.Kind == Kinds.Node.GroupResource || (offered.Any(IsPod) && !IsPod(item)))
                continue;
            string action = IsPod(item) && _world.Centre.Api.Find(Kinds.Pod, item.Name) is null && _world.Chance(70) ? "Adopt" : "Stop";
            _world.Trace($"operator: {action} {item.Kind} {item.Name} ({item.Uid})");
            said.Add(new JsonObject { ["uid"] = item.Uid, ["action"] = action });
        }
        return said;
    }

    /// <summary>Puts right what would keep pods from running when all is quiet: cordoned nodes and Secrets that are missing.</summary>
    public void Repair()
    {
        foreach (ResourceType type in s_workloads)
            foreach (KubeObject workload in _world.Centre.Api.All(type))
                if (_world.Centre.Api.Find(Kinds.Secret, workload.Key) is null)
                    Create(Kinds.Secret, Named("v1", "Secret", workload.Name, new JsonObject { ["value"] = "bmV3" }));
        foreach (KubeObject node in _world.Centre.Api.All(Kinds.Node))
            if (node.ToNode()["spec"]?["unschedulable"] is not null)
                Patch((Kinds.Node, node), new JsonObject { ["spec"] = new JsonObject { ["unschedulable"] = false } });
    }

    /// <summary>Changes one ConfigMap, and nothing else: its key, or null when there is none.</summary>
    public string? ChangeOne()
    {
        if (_world.Centre.Api.All(Kinds.ConfigMap) is not [KubeObject map, ..])
            return null;
        _world.Checks.QuietFrom();
        Patch((Kinds.ConfigMap, map), new JsonObject { ["data"] = new JsonObject { ["value"] = "changed at rest" } });
        return map.Key;
    }

    private void MakeWorkload(ResourceType type)
    {
        if (s_workloads.Sum(t => _world.Centre.Api.All(t).Count) >= 6)
            return;
        string name = $"app{_names++}";
        Create(Kinds.Secret, Named("v1", "Secret", name, new JsonObject { ["value"] = "c2VjcmV0" }));
        Create(Kinds.ConfigMap, Named("v1", "ConfigMap", name, new JsonObject { ["value"] = "1" }));
        var pod = new JsonObject
        {
            ["terminationGracePeriodSeconds"] = 1,
            ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["image"] = "app:1" }),
            ["volumes"] = new JsonArray(
                new JsonObject { ["name"] = "s", ["secret"] = new JsonObject { ["secretName"] = name } }, new JsonObject { ["name"] = "m", ["configMap"] = new JsonObject { ["name"] = name } }),
        };
        if (_world.Chance(40))
            pod["nodeSelector"] = new JsonObject { ["edge.atoll.dev/site"] = _world.Sites[_world.Below(_world.Sites.Count)].Name };
        var spec = new JsonObject
        {
            ["replicas"] = _world.Below(4),
            ["selector"] = new JsonObject { ["matchLabels"] = new JsonObject { ["app"] = name } },
            ["template"] = new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["app"] = name } }, ["spec"] = pod },
        };
        if (type == Kinds.DaemonSet || type == Kinds.Job)
            spec.Remove("replicas");
        if (type == Kinds.Job)
        {
            pod["restartPolicy"] = _world.Chance(50) ? "Never" : "OnFailure";
            (spec["completions"], spec["parallelism"], spec["backoffLimit"], spec["manualSelector"]) = (1 + _world.Below(3), 1 + _world.Below(2), 1000, true);
        }
        if (type == Kinds.StatefulSet && _world.Chance(50))
            spec["podManagementPolicy"] = "Parallel";
        var metadata = new JsonObject { ["name"] = name, ["namespace"] = Namespace };
        if (type == Kinds.Deployment && _world.Chance(40))
            metadata["annotations"] = new JsonObject { ["edge.atoll.dev/failover"] = _world.Chance(50) ? "any" : "region", ["edge.atoll.dev/failover-after"] = "30s" };
        Create(type, new JsonObject { ["apiVersion"] = type == Kinds.Job ? "batch/v1" : "apps/v1", ["kind"] = type.Kind, ["metadata"] = metadata, ["spec"] = spec });
    }

    private void Update()
    {
        if (Pick(s_lasting) is not { } target)
            return;
        JsonObject document = target.Value.ToNode();
        document["spec"]!["template"]!["spec"]!["containers"]![0]!["image"] = $"app:{1 + _world.Below(3)}";
        _world.Trace($"user: updates {target.Value.Key}");
        _world.Centre.As("user", api => api.UpdateAsync(target.Type, Namespace, target.Value.Name, document, default).Result);
    }

    /// <summary>A secret deleted and made again under its name is another one.</summary>
    private void Replace()
    {
        if (Pick(Kinds.Secret) is not { } target)
            return;
        Delete(target);
        _world.At(_world.Below(500), () =>
        {
            if (_world.Centre.IsUp)
                Create(Kinds.Secret, Named("v1", "Secret", target.Value.Name, new JsonObject { ["value"] = "bmV3" }));
        });
    }

    /// <summary>A deletion that asks nobody.</summary>
    private void Force((ResourceType Type, KubeObject Value)? pod)
    {
        if (pod is not { } target)
            return;
        Forced.Add(target.Value.Uid);
        _world.Trace($"user: forces the deletion of {target.Value.Key} ({target.Value.Uid})");
        _world.Centre.As("user", api => api.DeleteAsync(Kinds.Pod, Namespace, target.Value.Name, new DeleteOptions { GracePeriodSeconds = 0, Uid = target.Value.Uid }, default).Result);
    }

    private (ResourceType Type, KubeObject Value)? Pick(params ResourceType[] types)
    {
        (ResourceType, KubeObject)[] all = [.. types.SelectMany(t => _world.Centre.Api.All(t).Select(o => (t, o)))];
        return all.Length == 0 ? null : all[_world.Below(all.Length)];
    }

    private void Create(ResourceType type, JsonObject document)
    {
        _world.Trace($"user: creates {type.Kind} {(string?)document["metadata"]?["name"]}");
        _world.Centre.As("user", api => api.CreateAsync(type, type.Namespaced ? Namespace : null, document, default).Result);
    }

    private void Patch((ResourceType Type, KubeObject Value)? target, JsonObject patch)
    {
        if (target is not { } t)
            return;
        _world.Trace($"user: patches {t.Type.Kind} {t.Value.Key}: {patch.ToJsonString()}");
        _world.Centre.As("user", api => api.PatchAsync(t.Type, t.Type.Namespaced ? Namespace : null, t.Value.Name, PatchType.Merge, patch, default).Result);
    }

    private void Delete((ResourceType Type, KubeObject Value)? target)
    {
        if (target is not { } t)
            return;
        _world.Trace($"user: deletes {t.Type.Kind} {t.Value.Key} ({t.Value.Uid})");
        _world.Centre.As("user", api => api.DeleteAsync(t.Type, Namespace, t.Value.Name, DeleteOptions.Default with { Uid = t.Value.Uid }, default).Result);
    }

    private static JsonObject Named(string version, string kind, string name, JsonObject data) =>
        new() { ["apiVersion"] = version, ["kind"] = kind, ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = Namespace }, ["data"] = data };

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
