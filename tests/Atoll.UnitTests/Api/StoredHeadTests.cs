using System.Text;
using Atoll.Api.Objects;

namespace Atoll.UnitTests.Api;

/// <summary>The head of a stored document, read without the rest, says what the whole document says.</summary>
public sealed class StoredHeadTests
{
    [Theory]
    [InlineData("""{"apiVersion":"v1","kind":"Pod","metadata":{"resourceVersion":"7","name":"p","namespace":"d","uid":"u","labels":{"a":"b"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"o1"},{"uid":"o2","controller":true,"kind":"Job","name":"j","apiVersion":"batch/v1"}]},"spec":{"nodeName":"n"},"status":{}}""", "7", "o1,o2", true)]
    [InlineData("""{"spec":{"metadata":{"resourceVersion":"1","ownerReferences":[{"uid":"no"}]}},"metadata":{"name":"p","annotations":{"resourceVersion":"2","x":"\"ownerReferences\""},"resourceVersion":"9"},"kind":"X","apiVersion":"g/v1"}""", "9", "", false)]
    [InlineData("""{"kind":"X","metadata":{"name":"p","ownerReferences":[]}}""", "", "", false)]
    [InlineData("""{"kind":"X"}""", "", "", false)]
    public void It_says_what_the_whole_document_says(string document, string version, string owners, bool controlled)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(document);
        var whole = new KubeObject(utf8);
        KubeObject stored = KubeObject.Stored(utf8, "d/p", "u");
        Assert.Equal(version, stored.ResourceVersion);
        Assert.Equal(whole.ResourceVersion, stored.ResourceVersion);
        Assert.Equal(owners, string.Join(',', StoredHead.ReadOwners(utf8, out bool isControlled) ?? []));
        Assert.Equal(controlled, isControlled);
        Assert.Equal((whole.ApiVersion, whole.Kind, whole.Metadata.Name), (stored.ApiVersion, stored.Kind, stored.Metadata.Name));
        Assert.Equal(whole.Metadata.Labels ?? [], stored.Metadata.Labels ?? []);
        Assert.Equal(whole.Metadata.OwnerReferences?.Count ?? 0, stored.Metadata.OwnerReferences?.Count ?? 0);
        Assert.Equal(version, stored.ResourceVersion);
    }
}
