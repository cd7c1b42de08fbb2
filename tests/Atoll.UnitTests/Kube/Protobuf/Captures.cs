namespace Atoll.UnitTests.Kube.Protobuf;

/// <summary>
/// Bodies that kubectl 1.32.4 sent (<c>kubectl create ...</c>, <c>kubectl auth ...</c>), and beside each of <c>create</c>
/// what it prints for the same arguments with <c>--dry-run=client -o json</c> (without the empty creationTimestamp).
/// </summary>
internal static class Captures
{
    public static readonly (string Name, string Base64, string Json)[] All =
    [
        ("namespace",
         "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhwKFAoEc2hvcBIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA==",
         """{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"shop"},"spec":{},"status":{}}"""),
        ("configmap",
         "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEjMKGAoIc2V0dGluZ3MSABoAIgAqADIAOABCABIJCgVlbXB0eRIAEgwKBG1vZGUSBGZhc3QaACIA",
         """{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"settings"},"data":{"empty":"","mode":"fast"}}"""),
        ("secret",
         "azhzAAoMCgJ2MRIGU2VjcmV0EisKEwoDa2V5EgAaACIAKgAyADgAQgASEgoIcGFzc3dvcmQSBnMzY3JldBoAGgAiAA==",
         """{"kind":"Secret","apiVersion":"v1","metadata":{"name":"key"},"data":{"password":"czNjcmV0"}}"""),
        ("docker-registry secret",
         "azhzAAoMCgJ2MRIGU2VjcmV0EpkBChQKBHB1bGwSABoAIgAqADIAOABCABJhChEuZG9ja2VyY29uZmlnanNvbhJMeyJhdXRocyI6eyJyZWdpc3RyeS5leGFtcGxlIjp7InVzZXJuYW1lIjoidSIsInBhc3N3b3JkIjoicCIsImF1dGgiOiJkVHB3In19fRoea3ViZXJuZXRlcy5pby9kb2NrZXJjb25maWdqc29uGgAiAA==",
         """{"kind":"Secret","apiVersion":"v1","metadata":{"name":"pull"},"data":{".dockerconfigjson":"eyJhdXRocyI6eyJyZWdpc3RyeS5leGFtcGxlIjp7InVzZXJuYW1lIjoidSIsInBhc3N3b3JkIjoicCIsImF1dGgiOiJkVHB3In19fQ=="},"type":"kubernetes.io/dockerconfigjson"}"""),
        ("serviceaccount",
         "azhzAAoUCgJ2MRIOU2VydmljZUFjY291bnQSFwoVCgVyb2JvdBIAGgAiACoAMgA4AEIAGgAiAA==",
         """{"kind":"ServiceAccount","apiVersion":"v1","metadata":{"name":"robot"}}"""),
        ("deployment",
         "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50Eq8BCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEn4IABIMCgoKA2FwcBIDd2ViGmQKHAoAEgAaACIAKgAyADgAQgBaCgoDYXBwEgN3ZWISRBImCgF4EgF4KgAyCgoAEAAYUCIAKgBCAGoAcgCAAQCIAQCQAQCiAQAaADIAQgBKAFIAWABgAGgAggEAigEAmgEAwgEAIgIKACgAOAAaDAgAEAAYACAAKAA4ABoAIgA=",
         """{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","labels":{"app":"web"}},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"x","image":"x","ports":[{"containerPort":80}],"resources":{}}]}},"strategy":{}},"status":{}}"""),
        ("job",
         "azhzAAoPCghiYXRjaC92MRIDSm9iEoQBChUKBW9uY2UyEgAaACIAKgAyADgAQgASYTJfChAKABIAGgAiACoAMgA4AEIAEksSKAoFb25jZTISAXgaBXNsZWVwGgE1KgBCAGoAcgCAAQCIAQCQAQCiAQAaBU5ldmVyMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAaCCAAKAAwADoAGgAiAA==",
         """{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"once2"},"spec":{"template":{"metadata":{},"spec":{"containers":[{"name":"once2","image":"x","command":["sleep","5"],"resources":{}}],"restartPolicy":"Never"}}},"status":{}}"""),
        ("ClusterIP service",
         "azhzAAoNCgJ2MRIHU2VydmljZRJyCiMKBWZyb250EgAaACIAKgAyADgAQgBaDAoDYXBwEgVmcm9udBJHCh4KBzgwLWh0dHASA1RDUBhQIgoIARAAGgRodHRwKAASDAoDYXBwEgVmcm9udBoAIglDbHVzdGVySVA6AEIAUgBaAGAAaAAaAgoAGgAiAA==",
         """{"kind":"Service","apiVersion":"v1","metadata":{"name":"front","labels":{"app":"front"}},"spec":{"ports":[{"name":"80-http","protocol":"TCP","port":80,"targetPort":"http"}],"selector":{"app":"front"},"type":"ClusterIP"},"status":{"loadBalancer":{}}}"""),
        ("NodePort service",
         "azhzAAoNCgJ2MRIHU2VydmljZRJuCiMKBW91dGVyEgAaACIAKgAyADgAQgBaDAoDYXBwEgVvdXRlchJDChsKBzgwLTgwODASA1RDUBhQIgcIABCQPxoAKAASDAoDYXBwEgVvdXRlchoAIghOb2RlUG9ydDoAQgBSAFoAYABoABoCCgAaACIA",
         """{"kind":"Service","apiVersion":"v1","metadata":{"name":"outer","labels":{"app":"outer"}},"spec":{"ports":[{"name":"80-8080","protocol":"TCP","port":80,"targetPort":8080}],"selector":{"app":"outer"},"type":"NodePort"},"status":{"loadBalancer":{}}}"""),
        ("headless service",
         "azhzAAoNCgJ2MRIHU2VydmljZRJWCiMKBWJsaW5kEgAaACIAKgAyADgAQgBaDAoDYXBwEgVibGluZBIrEgwKA2FwcBIFYmxpbmQaBE5vbmUiCUNsdXN0ZXJJUDoAQgBSAFoAYABoABoCCgAaACIA",
         """{"kind":"Service","apiVersion":"v1","metadata":{"name":"blind","labels":{"app":"blind"}},"spec":{"selector":{"app":"blind"},"clusterIP":"None","type":"ClusterIP"},"status":{"loadBalancer":{}}}"""),
        ("ExternalName service",
         "azhzAAoNCgJ2MRIHU2VydmljZRJaCh8KA2ZhchIAGgAiACoAMgA4AEIAWgoKA2FwcBIDZmFyEjMSCgoDYXBwEgNmYXIaACIMRXh0ZXJuYWxOYW1lOgBCAFILZmFyLmV4YW1wbGVaAGAAaAAaAgoAGgAiAA==",
         """{"kind":"Service","apiVersion":"v1","metadata":{"name":"far","labels":{"app":"far"}},"spec":{"selector":{"app":"far"},"type":"ExternalName","externalName":"far.example"},"status":{"loadBalancer":{}}}"""),
        ("priorityclass",
         "azhzAAolChRzY2hlZHVsaW5nLms4cy5pby92MRINUHJpb3JpdHlDbGFzcxItChQKBGhpZ2gSABoAIgAqADIAOABCABDoBxgAIglpbXBvcnRhbnQqBU5ldmVyGgAiAA==",
         """{"kind":"PriorityClass","apiVersion":"scheduling.k8s.io/v1","metadata":{"name":"high"},"value":1000,"description":"important","preemptionPolicy":"Never"}"""),
        ("auth can-i",
         "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSPwoQCgASABoAIgAqADIAOABCABIhCh8KB2RlZmF1bHQSBmNyZWF0ZRoAIgAqBHBvZHMyADoAGggIABIAGgAgABoAIgA=",
         """{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{"resourceAttributes":{"namespace":"default","verb":"create","resource":"pods"}},"status":{"allowed":false}}"""),
        ("auth can-i --list",
         "azhzAAoxChdhdXRob3JpemF0aW9uLms4cy5pby92MRIWU2VsZlN1YmplY3RSdWxlc1JldmlldxIjChAKABIAGgAiACoAMgA4AEIAEgkKB2RlZmF1bHQaBBgAIgAaACIA",
         """{"kind":"SelfSubjectRulesReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{"namespace":"default"},"status":{"incomplete":false}}"""),
        ("auth whoami",
         "azhzAAotChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESEVNlbGZTdWJqZWN0UmV2aWV3EhoKEAoAEgAaACIAKgAyADgAQgASBgoECgASABoAIgA=",
         """{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","metadata":{}}"""),
    ];
}
