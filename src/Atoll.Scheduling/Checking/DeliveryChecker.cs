using Atoll.Scheduling.Deliveries;

namespace Atoll.Scheduling.Checking;

/// <summary>Proves the plan of a Delivery legal, or says where it is not. Plain code, nothing of the planner's own.</summary>
public static class DeliveryChecker
{
    /// <summary>Everything that is wrong with a plan; empty when it is legal.</summary>
    public static IReadOnlyList<string> Check(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites, DeliveryPlan plan)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(sites);
        ArgumentNullException.ThrowIfNull(plan);
        var wrong = new List<string>();
        if (!plan.Fits)
        {
            if (plan.Sites.Count > 0)
                wrong.Add("it says that the request does not fit, and places something.");
            if (plan.Missing < 1 || plan.Missing > request.Count)
                wrong.Add($"{plan.Missing} are missing of {request.Count}.");
            return wrong;
        }
        if (plan.Alternatives.Count > 0)
            wrong.Add("it fits, and names alternatives.");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        int sum = 0;
        foreach ((string name, int count) in plan.Sites)
        {
            sum += count;
            DeliveryCandidate? site = sites.FirstOrDefault(s => s.Name == name);
            if (site is null || !seen.Add(name))
            {
                wrong.Add($"{name} is no site, or is there twice.");
                continue;
            }
            if (count < 1 || count > site.Capacity)
                wrong.Add($"{name} gets {count} and holds {site.Capacity}.");
            if (count * 100L > (long)request.MaxSharePercent * request.Count)
                wrong.Add($"{name} gets {count} of {request.Count}, more than {request.MaxSharePercent} %.");
            if (request.Region is not null && site.Region != request.Region)
                wrong.Add($"{name} is in region {site.Region}.");
            if (request.Carrier is not null && site.Carrier != request.Carrier)
                wrong.Add($"{name} has carrier {site.Carrier}.");
            if (request.Kinds is { Count: > 0 } && !request.Kinds.Contains(site.Kind ?? ""))
                wrong.Add($"{name} is of kind {site.Kind}.");
            if (request.Latency is { } latency && !(site.RoundTrip <= latency))
                wrong.Add($"{name} is {site.RoundTrip} ms away.");
        }
        if (request.Count > request.Most)
            wrong.Add($"{request.Count} are placed where quotas allow {request.Most}.");
        if (sum != request.Count)
            wrong.Add($"{sum} are placed of {request.Count}.");
        if (request.Count > 0 && plan.Sites.Count < request.MinSites)
            wrong.Add($"{plan.Sites.Count} sites where {request.MinSites} are asked for.");
        return wrong;
    }
}
