namespace Atoll.Api.Objects;

/// <summary>metadata of an object (Kubernetes API, ObjectMeta v1): the fields that Atoll acts on.</summary>
public sealed class ObjectMeta
{
    /// <summary>Name, unique in the namespace.</summary>
    public string? Name { get; set; }

    /// <summary>Prefix of a name that the server completes.</summary>
    public string? GenerateName { get; set; }

    /// <summary>Namespace.</summary>
    public string? Namespace { get; set; }

    /// <summary>Identity.</summary>
    public string? Uid { get; set; }

    /// <summary>Version of the server that issued it.</summary>
    public string? ResourceVersion { get; set; }

    /// <summary>Counts changes of the spec.</summary>
    public long? Generation { get; set; }

    /// <summary>Creation time, whole seconds UTC.</summary>
    public DateTimeOffset? CreationTimestamp { get; set; }

    /// <summary>Time at which a graceful deletion ends.</summary>
    public DateTimeOffset? DeletionTimestamp { get; set; }

    /// <summary>Grace of the deletion in seconds.</summary>
    public long? DeletionGracePeriodSeconds { get; set; }

    /// <summary>Labels.</summary>
    public Dictionary<string, string>? Labels { get; set; }

    /// <summary>Annotations.</summary>
    public Dictionary<string, string>? Annotations { get; set; }

    /// <summary>Owners.</summary>
    public List<OwnerReference>? OwnerReferences { get; set; }

    /// <summary>Names that must be gone before the object is.</summary>
    public List<string>? Finalizers { get; set; }

    /// <summary>The value of a label, or null.</summary>
    public string? Label(string key) => Labels is not null && Labels.TryGetValue(key, out string? value) ? value : null;

    /// <summary>The value of an annotation, or null.</summary>
    public string? Annotation(string key) => Annotations is not null && Annotations.TryGetValue(key, out string? value) ? value : null;

    /// <summary>True for a pod whose name is its identity (of a StatefulSet): there must never be two of it.</summary>
    public bool HasIdentity() => Controller()?.Kind == "StatefulSet";

    /// <summary>The managing controller's reference, or null.</summary>
    public OwnerReference? Controller()
    {
        if (OwnerReferences is not null)
            foreach (OwnerReference owner in OwnerReferences)
                if (owner.Controller == true)
                    return owner;
        return null;
    }
}

/// <summary>An owner of an object.</summary>
public sealed class OwnerReference
{
    /// <summary>Owner's apiVersion.</summary>
    public string ApiVersion { get; set; } = "";

    /// <summary>Owner's kind.</summary>
    public string Kind { get; set; } = "";

    /// <summary>Owner's name.</summary>
    public string Name { get; set; } = "";

    /// <summary>Owner's identity.</summary>
    public string Uid { get; set; } = "";

    /// <summary>True for the one managing controller.</summary>
    public bool? Controller { get; set; }

    /// <summary>True when foreground deletion of the owner waits for this object.</summary>
    public bool? BlockOwnerDeletion { get; set; }
}
