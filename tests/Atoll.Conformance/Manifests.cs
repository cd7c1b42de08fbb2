namespace Atoll.Conformance;

/// <summary>Objects that the cases make.</summary>
internal static class Manifests
{
    public static string ConfigMap(string name, string data) => $$"""
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: {{name}}, labels: {case: "yes"} }
        data: {{data}}
        """;

    public static string Deployment(string name, int replicas, string image = "local:1") => $$"""
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: {{name}} }
        spec:
          replicas: {{replicas}}
          selector: {matchLabels: {app: {{name}} } }
          template:
            metadata: {labels: {app: {{name}} } }
            spec:
              terminationGracePeriodSeconds: 1
              containers: [{name: main, image: "{{image}}", ports: [{containerPort: 8080}]}]
        """;

    public static string StatefulSet(string name, int replicas, string image = "local:1") => $$"""
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: {{name}} }
        spec:
          replicas: {{replicas}}
          serviceName: {{name}}
          selector: {matchLabels: {app: {{name}} } }
          template:
            metadata: {labels: {app: {{name}} } }
            spec:
              terminationGracePeriodSeconds: 1
              containers: [{name: main, image: "{{image}}"}]
        """;

    public static string Pod(string name, string more = "") => $$"""
        apiVersion: v1
        kind: Pod
        metadata: {name: {{name}}, labels: {app: {{name}} } }
        spec:
          terminationGracePeriodSeconds: 1
          containers: [{name: main, image: local, stdin: true}{{more}}]
        """;
}
