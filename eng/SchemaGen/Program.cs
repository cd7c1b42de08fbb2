using System.IO.Compression;
using System.Reflection;
using System.Text;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using k8s.Models;

// Writes two text files, both Brotli-compressed:
//   shapes.txt.br        one line a type ("T name gvk") and one a field ("name type flags"): what validation reads
//   descriptions.txt.br  one line for each of those lines, in the same order: what OpenAPI documents add
// Usage: dotnet run --project eng/SchemaGen [output folder] [--text to see the text instead]
string root = FindRoot();
string output = args.FirstOrDefault(a => !a.StartsWith('-')) ?? Path.Combine(root, "src/Atoll.Kube/Schema");
var annotations = Annotations.Load(Path.Combine(root, "eng/SchemaGen/annotations.txt"));
var generator = new Generator(annotations);
generator.AddModels();
generator.AddHandWritten(Path.Combine(root, "eng/SchemaGen/site.txt"));
generator.AddHandWritten(Path.Combine(root, "eng/SchemaGen/scheduling.txt"));
generator.AddHandWritten(Path.Combine(root, "eng/SchemaGen/fragments.txt"));
(string shapes, string descriptions) = generator.Render();
annotations.RefuseUnused();
if (args.Contains("--text"))
{
    Console.Write(shapes);
    return;
}
Write(Path.Combine(output, "shapes.txt.br"), shapes);
Write(Path.Combine(output, "descriptions.txt.br"), descriptions);

static string FindRoot()
{
    for (string? folder = Directory.GetCurrentDirectory(); folder is not null; folder = Path.GetDirectoryName(folder))
        if (File.Exists(Path.Combine(folder, "Atoll.slnx")))
            return folder;
    throw new InvalidOperationException("Run inside the repository.");
}

static void Write(string path, string text)
{
    byte[] bytes = Encoding.UTF8.GetBytes(text);
    using (FileStream file = File.Create(path))
    using (var brotli = new BrotliStream(file, CompressionLevel.SmallestSize))
        brotli.Write(bytes);
    Console.WriteLine($"{path}: {bytes.Length} bytes, {new FileInfo(path).Length} compressed");
}

/// <summary>What reflection cannot see: required fields, enums, list and patch semantics, micro times. One line a type.</summary>
internal sealed class Annotations
{
    private readonly Dictionary<string, Dictionary<string, string>> _types = [];
    private readonly HashSet<string> _used = [];

    public static Annotations Load(string path)
    {
        var result = new Annotations();
        foreach (string raw in File.ReadLines(path))
        {
            string line = raw.Trim();
            if (line.Length == 0 || line[0] == '#')
                continue;
            string[] parts = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (!result._types.TryGetValue(parts[0], out Dictionary<string, string>? fields))
                result._types[parts[0]] = fields = [];
            foreach (string part in parts.Skip(1))
            {
                string[] field = part.Split(':', 2);
                string flags = field.Length == 2 ? field[1].Replace(";", " ", StringComparison.Ordinal) : "!";
                fields[field[0]] = fields.TryGetValue(field[0], out string? before) ? before + " " + flags : flags;
            }
        }
        return result;
    }

    public string Of(string type, string field)
    {
        if (!_types.TryGetValue(type, out Dictionary<string, string>? fields) || !fields.TryGetValue(field, out string? flags))
            return "";
        _used.Add(type + "." + field);
        return flags;
    }

    public void RefuseUnused()
    {
        List<string> unused = [.. _types.SelectMany(t => t.Value.Keys.Select(f => t.Key + "." + f)).Where(k => !_used.Contains(k))];
        if (unused.Count > 0)
            throw new InvalidOperationException("Annotations of unknown fields: " + string.Join(", ", unused));
    }
}

internal sealed class Generator(Annotations annotations)
{
    private const string Meta = "io.k8s.apimachinery.pkg.apis.meta.v1.", Api = "io.k8s.api.";

    private static readonly Type[] s_roots =
    [
        typeof(V1Namespace), typeof(V1Node), typeof(V1Pod), typeof(V1ConfigMap), typeof(V1Secret), typeof(V1ServiceAccount), typeof(V1Service), typeof(Corev1Event), typeof(V1Binding),
        typeof(V1Deployment), typeof(V1ReplicaSet), typeof(V1DaemonSet), typeof(V1StatefulSet), typeof(V1ControllerRevision), typeof(V1Job), typeof(V1Lease), typeof(Eventsv1Event),
        typeof(V1RuntimeClass), typeof(V1PriorityClass), typeof(V1PodDisruptionBudget), typeof(V1PersistentVolume), typeof(V1PersistentVolumeClaim), typeof(V1StorageClass), typeof(V1Scale), typeof(V1Eviction), typeof(V1DeleteOptions), typeof(V1Status),
        typeof(V1NamespaceList), typeof(V1NodeList), typeof(V1PodList), typeof(V1ConfigMapList), typeof(V1SecretList), typeof(V1ServiceAccountList), typeof(V1ServiceList), typeof(Corev1EventList),
        typeof(V1DeploymentList), typeof(V1ReplicaSetList), typeof(V1DaemonSetList), typeof(V1StatefulSetList), typeof(V1ControllerRevisionList), typeof(V1JobList), typeof(V1LeaseList), typeof(Eventsv1EventList),
        typeof(V1RuntimeClassList), typeof(V1PriorityClassList), typeof(V1PodDisruptionBudgetList), typeof(V1PersistentVolumeList), typeof(V1PersistentVolumeClaimList), typeof(V1StorageClassList),
    ];

    private static readonly string[] s_meta =
    [
        "ObjectMeta", "ListMeta", "LabelSelector", "LabelSelectorRequirement", "OwnerReference", "ManagedFieldsEntry", "DeleteOptions", "Preconditions", "Status", "StatusDetails", "StatusCause", "Condition",
        "FieldSelectorRequirement", "ShardInfo",
    ];

    private readonly SortedDictionary<string, List<(string Line, string Description)>> _types = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _docs = LoadDocs();

    public void AddModels()
    {
        foreach (Type type in s_roots)
            Visit(type);
    }

    /// <summary>Our own kinds: the same lines, with the description after a tab.</summary>
    public void AddHandWritten(string path)
    {
        List<(string, string)>? current = null;
        foreach (string line in File.ReadLines(path))
        {
            if (line.Length == 0 || line[0] == '#')
                continue;
            string[] parts = line.Split('\t', 2);
            // A type, or a field more of a type of Kubernetes' ("+ TYPE FIELD …").
            if (parts[0].StartsWith("T ", StringComparison.Ordinal))
                _types[parts[0].Split(' ')[1]] = current = [];
            if (parts[0].StartsWith("+ ", StringComparison.Ordinal))
                AddField(_types[parts[0].Split(' ')[1]], parts[0].Split(' ', 3)[2], parts[1]);
            else
                current!.Add((parts[0], parts[1]));
        }
    }

    private static void AddField(List<(string Line, string Description)> type, string line, string description)
    {
        int at = type.FindIndex(1, f => string.CompareOrdinal(f.Line, line) > 0);
        type.Insert(at < 0 ? type.Count : at, (line, description));
    }

    public (string Shapes, string Descriptions) Render()
    {
        var shapes = new StringBuilder();
        var descriptions = new StringBuilder();
        foreach (List<(string Line, string Description)> lines in _types.Values)
            foreach ((string line, string description) in lines)
            {
                shapes.Append(line).Append('\n');
                descriptions.Append(description).Append('\n');
            }
        return (shapes.ToString(), descriptions.ToString());
    }

    private string Visit(Type type)
    {
        string name = NameOf(type);
        if (_types.ContainsKey(name))
            return name;
        var lines = new List<(string, string)>();
        _types[name] = lines;
        KubernetesEntityAttribute? entity = type.GetCustomAttribute<KubernetesEntityAttribute>();
        lines.Add(($"T {name}{(entity is null ? "" : $" {entity.Group}/{entity.ApiVersion}/{entity.Kind}")}", Doc("T:" + type.FullName)));
        string shortName = name.StartsWith(Api, StringComparison.Ordinal) ? name[Api.Length..] : "meta.v1." + name[Meta.Length..];
        foreach (PropertyInfo property in type.GetProperties().OrderBy(p => p.GetCustomAttribute<JsonPropertyNameAttribute>()?.Name, StringComparer.Ordinal))
        {
            string? field = property.GetCustomAttribute<JsonPropertyNameAttribute>()?.Name;
            if (field is null)
                continue;
            string flags = annotations.Of(shortName, field);
            string code = Code(property.PropertyType);
            if (flags.Contains("micro", StringComparison.Ordinal))
            {
                code = "M";
                flags = flags.Replace("micro", "", StringComparison.Ordinal).Trim();
            }
            lines.Add(($"{field} {code}{(flags.Length > 0 ? " " + flags : "")}", Doc($"P:{property.DeclaringType!.FullName}.{property.Name}")));
        }
        return name;
    }

    private string Code(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(string)) return "s";
        if (type == typeof(int)) return "i";
        if (type == typeof(long)) return "l";
        if (type == typeof(bool)) return "b";
        if (type == typeof(double)) return "d";
        if (type == typeof(DateTime)) return "D";
        if (type == typeof(byte[])) return "B";
        if (type == typeof(object)) return "o";
        if (type.Name == "ResourceQuantity") return "q";
        if (type.Name == "IntOrString") return "I";
        if (type.IsGenericType && type.Name.StartsWith("IList", StringComparison.Ordinal)) return "[" + Code(type.GetGenericArguments()[0]);
        if (type.IsGenericType && type.Name.StartsWith("IDictionary", StringComparison.Ordinal)) return "{" + Code(type.GetGenericArguments()[1]);
        if (type.Namespace == "k8s.Models" && type.IsClass) return "@" + Visit(type);
        throw new InvalidOperationException($"No code for {type}.");
    }

    private static string NameOf(Type type)
    {
        string name = type.Name;
        if (name.StartsWith("Corev1", StringComparison.Ordinal)) return $"{Api}core.v1.{name[6..]}";
        if (name.StartsWith("Eventsv1", StringComparison.Ordinal)) return $"{Api}events.v1.{name[8..]}";
        if (!name.StartsWith("V1", StringComparison.Ordinal)) throw new InvalidOperationException($"No package for {name}.");
        name = name[2..];
        if (name.StartsWith("alpha3", StringComparison.Ordinal)) return $"{Api}scheduling.v1alpha3.{name[6..]}";
        if (s_meta.Contains(name)) return Meta + name;
        string package =
            Regex.IsMatch(name, "^(Deployment|ReplicaSet|DaemonSet|ControllerRevision|StatefulSet|RollingUpdate[DS])") ? "apps.v1" :
            Regex.IsMatch(name, "^(Job|PodFailurePolicy|SuccessPolicy|UncountedTerminatedPods)") ? "batch.v1" :
            Regex.IsMatch(name, "^Lease") ? "coordination.v1" :
            Regex.IsMatch(name, "^(RuntimeClass(List)?|Overhead|Scheduling)$") ? "node.v1" :
            Regex.IsMatch(name, "^StorageClass(List)?$") ? "storage.v1" :
            Regex.IsMatch(name, "^PriorityClass") ? "scheduling.v1" :
            Regex.IsMatch(name, "^(Scale|ScaleSpec|ScaleStatus)$") ? "autoscaling.v1" :
            Regex.IsMatch(name, "^(Eviction$|PodDisruptionBudget)") ? "policy.v1" : "core.v1";
        return $"{Api}{package}.{name}";
    }

    private string Doc(string member) => _docs.GetValueOrDefault(member, "");

    private static Dictionary<string, string> LoadDocs()
    {
        string package = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        string version = typeof(V1Pod).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
        string path = Path.Combine(package, "kubernetesclient", version, "lib", "net10.0", "KubernetesClient.xml");
        var docs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (XElement member in XDocument.Load(path).Descendants("member"))
        {
            string name = member.Attribute("name")!.Value;
            if (name.Contains(":k8s.Models.", StringComparison.Ordinal) && member.Element("summary") is { } summary)
                docs[name] = Unwrap(summary.Value);
        }
        return docs;
    }

    /// <summary>The doc comments are wrapped at 80 columns: joins lines again and keeps paragraphs (as \n in one line).</summary>
    private static string Unwrap(string text)
    {
        var result = new StringBuilder();
        foreach (string raw in text.Split('\n').Select(l => l.Trim()))
        {
            if (raw.Length == 0)
            {
                if (result.Length > 0 && result[^1] != 'n')
                    result.Append("\\n\\n");
                continue;
            }
            bool starts = raw.StartsWith("- ", StringComparison.Ordinal) || raw.StartsWith("* ", StringComparison.Ordinal);
            if (result.Length > 0 && !result.ToString().EndsWith("\\n", StringComparison.Ordinal))
                result.Append(starts ? "\\n" : " ");
            result.Append(raw.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\t", " ", StringComparison.Ordinal));
        }
        string joined = result.ToString();
        while (joined.EndsWith("\\n", StringComparison.Ordinal))
            joined = joined[..^2];
        return joined;
    }
}
