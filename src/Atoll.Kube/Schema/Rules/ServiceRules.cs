using System.Text.Json.Nodes;

namespace Atoll.Kube.Schema.Rules;

/// <summary>Services: stored and served, so their ports must be ports.</summary>
internal static class ServiceRules
{
    public static void Service(JsonObject document, FieldErrors errors)
    {
        if (document.Object("metadata").Text("name") is { Length: > 0 } name && Names.Label1035(name) is { } wrong)
            errors.Invalid(FieldPath.Root.Child("metadata", "name"), name, wrong);
        FieldPath path = FieldPath.Root.Child("spec");
        JsonObject? spec = document.Object("spec");
        string? kind = spec.Text("type");
        bool headless = spec.Text("clusterIP") == "None";
        int count = spec.Array("ports")?.Count ?? 0;
        if (count == 0 && !headless && kind != "ExternalName")
            errors.Required(path.Child("ports"));
        if (kind == "ExternalName" && string.IsNullOrEmpty(spec.Text("externalName")))
            errors.Required(path.Child("externalName"));
        var names = new HashSet<string>(StringComparer.Ordinal);
        var numbers = new HashSet<(long, string?)>();
        foreach ((int i, JsonObject port) in spec.Objects("ports"))
        {
            FieldPath at = path.Child("ports").Index(i);
            string label = port.Text("name") ?? "";
            if (label.Length == 0 && count > 1)
                errors.Required(at.Child("name"));
            else if (label.Length > 0 && Names.Label(label) is { } problem)
                errors.Invalid(at.Child("name"), label, problem);
            else if (label.Length > 0 && !names.Add(label))
                errors.Duplicate(at.Child("name"), label);
            ContainerRules.PortNumber(port["port"], at.Child("port"), errors, required: true);
            ContainerRules.PortRef(port["targetPort"], at.Child("targetPort"), errors);
            if (port.Long("port") is { } number && !numbers.Add((number, port.Text("protocol"))))
                errors.Duplicate(at, $"{number}/{port.Text("protocol")}");
        }
    }
}
