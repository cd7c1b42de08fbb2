using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>A new pod with the label <c>edge.atoll.dev/flavour</c> is made of that flavour.</summary>
internal static class FlavourAdmission
{
    /// <summary>Fills the pod in, or says what of it contradicts its flavour.</summary>
    public static StatusCause? Fill(JsonObject pod, ResourceCache flavours)
    {
        if (pod.Map("metadata").Map("labels").Text(WellKnown.FlavourLabel) is not { Length: > 0 } name)
            return null;
        if (Flavours.Resolve(name, n => flavours.Get(Keys.Local(null, n))?.Object) is not { } flavour)
            return MetaRules.Cause("FieldValueNotFound", $"metadata.labels[{WellKnown.FlavourLabel}]", $"Not found: \"{name}\": there is no such Flavour (kubectl get flavours), and it is no size such as 4c8g");
        return Flavours.Apply(pod, flavour) is { } wrong ? MetaRules.Cause("FieldValueInvalid", wrong.Field, $"Invalid value: it {wrong.Reason} (flavour {name})") : null;
    }
}
