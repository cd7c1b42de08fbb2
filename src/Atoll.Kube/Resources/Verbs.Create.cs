using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Apply;
using Atoll.Kube.Schema;
using Atoll.Kube.Watch;
using Atoll.Store;

namespace Atoll.Kube.Resources;

internal sealed partial class Verbs
{
    private const int GeneratedSuffix = 5, MaxGeneratedPrefix = 58, GenerateAttempts = 8;

    private readonly AdmittedPods _admitted = new();

    /// <summary>
    /// Makes a pod from a body that is like one which was admitted before: the same outcome without the way there. Null when there was
    /// none, or something is in the way: the long way says what. Only for callers that no policy looks at.
    /// </summary>
    public async ValueTask<WriteResult?> CreateAlikeAsync(string ns, CallContext call)
    {
        if (!MayRemember(Kinds.Pod, call))
            return null;
        await feed.WaitFreshAsync(call.Cancellation).ConfigureAwait(false);
        if (_admitted.TryMake(ns, ClassesOfPods, call.Body.Span, options.Uids.NewUid(), Now(), out string name) is not { } document
            || Schema.Rules.Names.Subdomain(name) is not null || Peek(Kinds.Pod, ns, name) is not null)
            return null;
        (ApiStatus? missing, StoreCompare? guard) = CheckNamespace(Kinds.Pod, ns, name);
        return missing is null && await StoreAsync(Kinds.Pod, ns, name, document, null, call, guard).ConfigureAwait(false) is { } done ? done with { Created = true } : (WriteResult?)null;
    }

    private bool MayRemember(ResourceType type, CallContext call) =>
        type.Equals(Kinds.Pod) && !call.Body.IsEmpty && !call.DryRun && !call.Identity.IsTrusted && options.WritePolicy is null;

    // Any change of a class gives a revision above all before it.
    private long ClassesOfPods => Math.Max(cacheOf(Kinds.Flavour).LastChange, Math.Max(cacheOf(Kinds.PriorityClass).LastChange, cacheOf(Kinds.RuntimeClass).LastChange));

    /// <summary>Makes an object, with who manages its fields when it was applied. The document is used up.</summary>
    public async ValueTask<WriteResult> CreateAsync(ResourceType type, string? ns, JsonObject document, CallContext call, ManagedFields? managed = null)
    {
        if (CheckPlace(type, ns, null, document) is { } misplaced)
            return misplaced;
        if (CheckFields(type, document, null, call) is { } unknown)
            return unknown;
        document = EventForms.ToStored(type, document);
        JsonObject meta = document.Map("metadata")!;
        if (!string.IsNullOrEmpty(meta.Text("resourceVersion")))
            return ApiStatus.BadRequest("resourceVersion should not be set on objects to be created");
        if (ns is "" or null && type.Namespaced)
            return ApiStatus.BadRequest("an empty namespace may not be set during creation");
        bool generate = string.IsNullOrEmpty(meta.Text("name")) && meta.Text("generateName") is { Length: > 0 };
        if (generate && CheckPrefix(type, meta.Text("generateName")!) is { } prefix)
            return prefix;
        Stamp(type, meta, call);
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            // What was acknowledged before this call counts: classes, the namespace, an object of the name. What comes meanwhile is compared.
            await feed.WaitFreshAsync(call.Cancellation).ConfigureAwait(false);
            if (generate)
                meta["name"] = Generate(meta.Text("generateName")!);
            long classes = ClassesOfPods;
            var candidate = (JsonObject)document.DeepClone();
            if (Admit(type, candidate, call) is { } refused)
                return refused;
            managed?.Write(candidate);
            string name = meta.Text("name")!;
            (ApiStatus? missing, StoreCompare? guard) = CheckNamespace(type, ns, name);
            if (missing is not null)
                return missing;
            // Also answers a dry run, which compares nothing.
            bool exists = Peek(type, ns, name) is not null;
            if (!exists)
            {
                byte[] bytes = candidate.ToBytes();
                if (MayRemember(type, call) && !generate && call.DuplicateFields.Count == 0 && call.Warnings.Count == 0 && call.FieldValidation != "Ignore")
                    _admitted.Learn(ns!, classes, call.Body.Span, bytes, meta.Text("uid")!, meta.Text("creationTimestamp")!);
                if (await StoreAsync(type, ns, name, bytes, null, call, guard).ConfigureAwait(false) is { } done)
                    return done with { Created = true };
            }
            // Somebody was first, or the namespace changed: only the former is final.
            if (exists && (!generate || attempt == GenerateAttempts))
                return ApiStatus.AlreadyExists(type, name);
        }
        return ApiStatus.Conflict(type, meta.Text("name") ?? "", "too many concurrent writes; try again");
    }

    private void Stamp(ResourceType type, JsonObject meta, CallContext call)
    {
        if (!call.Identity.IsTrusted || string.IsNullOrEmpty(meta.Text("uid")))
            meta["uid"] = options.Uids.NewUid();
        if (!call.Identity.IsTrusted || string.IsNullOrEmpty(meta.Text("creationTimestamp")))
            meta["creationTimestamp"] = Now();
        foreach (string field in (ReadOnlySpan<string>)["resourceVersion", "selfLink", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"])
            meta.Remove(field);
        if (!type.Namespaced)
            meta.Remove("namespace");
    }

    private static ApiStatus? CheckPrefix(ResourceType type, string prefix)
    {
        var causes = new List<StatusCause>();
        MetaRules.CheckGenerateName(type, prefix.Length > MaxGeneratedPrefix ? prefix[..MaxGeneratedPrefix] : prefix, causes);
        return causes.Count == 0 ? null : ApiStatus.Invalid(type, prefix, causes);
    }

    private string Generate(string prefix) =>
        (prefix.Length > MaxGeneratedPrefix ? prefix[..MaxGeneratedPrefix] : prefix) + options.Uids.NewSuffix(GeneratedSuffix);

    // Strategy, defaults, validation, then the policy of this server.
    private ApiStatus? Admit(ResourceType type, JsonObject document, CallContext call)
    {
        ResourceType stored = EventForms.IsNewer(type) ? Kinds.Event : type;
        var causes = new List<StatusCause>();
        JsonObject meta = document.Map("metadata")!;
        MetaRules.Check(type, meta, causes);
        string name = meta.Text("name") ?? meta.Text("generateName") ?? "";
        if (causes.Count > 0)
            return ApiStatus.Invalid(type, name, causes);
        if (type == Kinds.Pod && FlavourAdmission.Fill(document, cacheOf(Kinds.Flavour)) is { } contradiction)
            return ApiStatus.Invalid(type, name, [contradiction]);
        if (type == Kinds.Pod && BatchAdmission.Fill(document, cacheOf(Kinds.PriorityClass)) is { } online)
            return ApiStatus.Invalid(type, name, [online]);
        Strategy.PrepareForCreate(stored, document);
        ObjectSchemas.ApplyDefaults(stored, document);
        StorageAdmission.Admit(type, document, cacheOf);
        causes.AddRange(ObjectSchemas.Validate(stored, document, null, null));
        if (causes.Count > 0)
            return ApiStatus.Invalid(type, name, causes);
        if (type == Kinds.Pod && PodAdmission.Admit(document, cacheOf, call.Identity.IsTrusted) is { } refused)
            return refused;
        if (type == Kinds.PriorityClass && PodAdmission.CheckOneDefault(document, cacheOf(type)) is { } second)
            return second;
        return AskPolicy(call, "create", type, null, null, document);
    }

    /// <summary>The namespace must exist and stay; the comparison makes sure that it does not end meanwhile.</summary>
    private (ApiStatus? Error, StoreCompare? Guard) CheckNamespace(ResourceType type, string? ns, string name)
    {
        if (!type.Namespaced || !options.NamespacesMustExist)
            return (null, null);
        CachedObject? space = Peek(Kinds.Namespace, null, ns!);
        if (space is null)
            return (ApiStatus.NotFound(Kinds.Namespace, ns!), null);
        if (!space.Object.IsDeleting)
            return (null, new StoreCompare(Keys.Of(Kinds.Namespace, null, ns!), space.Revision));
        ApiStatus terminating = ApiStatus.Forbidden(type, name, $"unable to create new content in namespace {ns} because it is being terminated");
        terminating.Details!.Causes = [MetaRules.Cause("NamespaceTerminating", "metadata.namespace", $"namespace {ns} is being terminated")];
        return (terminating, null);
    }
}
