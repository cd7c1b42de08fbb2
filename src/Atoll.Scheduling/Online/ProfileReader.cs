using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>Reads a SchedulerProfile's settings, with Kubernetes' rules for its scheduler configuration.</summary>
public static class ProfileReader
{
    /// <summary>The profile, or null and what is wrong with the settings: the field and why.</summary>
    public static SchedulingProfile? Read(SchedulerProfileSpec spec, out string? problem)
    {
        ArgumentNullException.ThrowIfNull(spec);
        problem = Weights(spec) ?? Strategy(spec.ScoringStrategy) ?? Constraints(spec);
        if (problem is not null)
            return null;
        SchedulingProfile usual = SchedulingProfile.Default;
        ScoringStrategySpec? strategy = spec.ScoringStrategy;
        return new SchedulingProfile
        {
            Strategy = strategy?.Type is null ? usual.Strategy : Enum.Parse<ScoringStrategy>(strategy.Type),
            StrategyResources = strategy?.Resources is { Count: > 0 } resources ? resources.ConvertAll(r => new KeyValuePair<string, int>(r.Name, r.Weight ?? 1)) : usual.StrategyResources,
            Shape = strategy?.RequestedToCapacityRatio?.Shape is { Count: > 0 } shape ? shape.ConvertAll(s => new ShapePoint(s.Utilization, s.Score)) : usual.Shape,
            NodeResourcesFit = Weight("NodeResourcesFit", usual.NodeResourcesFit),
            NodeResourcesBalancedAllocation = Weight("NodeResourcesBalancedAllocation", usual.NodeResourcesBalancedAllocation),
            NodeAffinity = Weight("NodeAffinity", usual.NodeAffinity),
            TaintToleration = Weight("TaintToleration", usual.TaintToleration),
            PodTopologySpread = Weight("PodTopologySpread", usual.PodTopologySpread),
            InterPodAffinity = Weight("InterPodAffinity", usual.InterPodAffinity),
            ImageLocality = Weight("ImageLocality", usual.ImageLocality),
            HardPodAffinityWeight = spec.HardPodAffinityWeight ?? usual.HardPodAffinityWeight,
            SystemDefaultSpread = spec.DefaultingType != "List",
            DefaultConstraints = spec.DefaultConstraints ?? [],
            DefaultPreemption = spec.Preemption ?? true,
        };

        int Weight(string plugin, int otherwise) => spec.Weights?.TryGetValue(plugin, out int weight) == true ? weight : otherwise;
    }

    private static string? Weights(SchedulerProfileSpec spec)
    {
        foreach ((string plugin, int weight) in spec.Weights ?? [])
            if (Array.IndexOf(SchedulerProfile.Scores, plugin) < 0)
                return $"spec.weights[{plugin}]: no such score; there are {string.Join(", ", SchedulerProfile.Scores)}";
            else if (weight is < 0 or > 100)
                return $"spec.weights[{plugin}]: {weight} is not in the range 0-100";
        return spec.HardPodAffinityWeight is < 0 or > 100 ? $"spec.hardPodAffinityWeight: {spec.HardPodAffinityWeight} is not in the range 0-100" : null;
    }

    private static string? Strategy(ScoringStrategySpec? strategy)
    {
        if (strategy is null)
            return null;
        if (strategy.Type is not (null or "LeastAllocated" or "MostAllocated" or "RequestedToCapacityRatio"))
            return $"spec.scoringStrategy.type: {strategy.Type} is not LeastAllocated, MostAllocated or RequestedToCapacityRatio";
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < (strategy.Resources?.Count ?? 0); i++)
        {
            ScoredResource resource = strategy.Resources![i];
            if (resource.Name.Length == 0 || !names.Add(resource.Name))
                return $"spec.scoringStrategy.resources[{i}].name: {(resource.Name.Length == 0 ? "is needed" : $"{resource.Name} is there twice")}";
            if (resource.Weight is < 1 or > 100)
                return $"spec.scoringStrategy.resources[{i}].weight: {resource.Weight} is not in the range 1-100";
        }
        const string at = "spec.scoringStrategy.requestedToCapacityRatio.shape";
        List<UtilizationShapePoint>? shape = strategy.RequestedToCapacityRatio?.Shape;
        if (strategy.Type == "RequestedToCapacityRatio" && shape is not { Count: > 0 })
            return $"{at}: at least one point is needed";
        for (int i = 0; i < (shape?.Count ?? 0); i++)
            if (shape![i].Utilization is < 0 or > 100)
                return $"{at}[{i}].utilization: {shape[i].Utilization} is not in the range 0-100";
            else if (shape[i].Score is < 0 or > 10)
                return $"{at}[{i}].score: {shape[i].Score} is not in the range 0-10";
            else if (i > 0 && shape[i].Utilization <= shape[i - 1].Utilization)
                return $"{at}[{i}].utilization: values must be strictly rising";
        return null;
    }

    private static string? Constraints(SchedulerProfileSpec spec)
    {
        if (spec.DefaultingType is not (null or "System" or "List"))
            return $"spec.defaultingType: {spec.DefaultingType} is not System or List";
        if (spec.DefaultingType != "List" && spec.DefaultConstraints is { Count: > 0 })
            return "spec.defaultConstraints: must be empty unless defaultingType is List";
        for (int i = 0; i < (spec.DefaultConstraints?.Count ?? 0); i++)
        {
            TopologySpreadConstraint constraint = spec.DefaultConstraints![i];
            if (constraint.MaxSkew <= 0)
                return $"spec.defaultConstraints[{i}].maxSkew: must be greater than zero";
            if (constraint.TopologyKey.Length == 0)
                return $"spec.defaultConstraints[{i}].topologyKey: is needed";
            if (constraint.WhenUnsatisfiable is not ("DoNotSchedule" or "ScheduleAnyway"))
                return $"spec.defaultConstraints[{i}].whenUnsatisfiable: {constraint.WhenUnsatisfiable} is not DoNotSchedule or ScheduleAnyway";
            if (constraint.LabelSelector is not null)
                return $"spec.defaultConstraints[{i}].labelSelector: must not be set; it is taken from the pods";
        }
        return null;
    }
}
