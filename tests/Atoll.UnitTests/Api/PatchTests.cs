using System.Text.Json.Nodes;
using Atoll.Api.Patches;

namespace Atoll.UnitTests.Api;

public sealed class PatchTests
{
    // RFC 6902, appendix A.
    [Theory]
    [InlineData("""{"foo":"bar"}""", """[{"op":"add","path":"/baz","value":"qux"}]""", """{"baz":"qux","foo":"bar"}""")]
    [InlineData("""{"foo":["bar","baz"]}""", """[{"op":"add","path":"/foo/1","value":"qux"}]""", """{"foo":["bar","qux","baz"]}""")]
    [InlineData("""{"baz":"qux","foo":"bar"}""", """[{"op":"remove","path":"/baz"}]""", """{"foo":"bar"}""")]
    [InlineData("""{"foo":["bar","qux","baz"]}""", """[{"op":"remove","path":"/foo/1"}]""", """{"foo":["bar","baz"]}""")]
    [InlineData("""{"baz":"qux","foo":"bar"}""", """[{"op":"replace","path":"/baz","value":"boo"}]""", """{"baz":"boo","foo":"bar"}""")]
    [InlineData("""{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}""", """[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]""", """{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}""")]
    [InlineData("""{"foo":["all","grass","cows","eat"]}""", """[{"op":"move","from":"/foo/1","path":"/foo/3"}]""", """{"foo":["all","cows","eat","grass"]}""")]
    [InlineData("""{"baz":"qux","foo":["a",2,"c"]}""", """[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]""", """{"baz":"qux","foo":["a",2,"c"]}""")]
    [InlineData("""{"foo":"bar"}""", """[{"op":"add","path":"/child","value":{"grandchild":{}}}]""", """{"foo":"bar","child":{"grandchild":{}}}""")]
    [InlineData("""{"foo":"bar"}""", """[{"op":"add","path":"/baz","value":"qux","xyz":123}]""", """{"foo":"bar","baz":"qux"}""")]
    [InlineData("""{"/":9,"~1":10}""", """[{"op":"test","path":"/~01","value":10}]""", """{"/":9,"~1":10}""")]
    [InlineData("""{"foo":["bar"]}""", """[{"op":"add","path":"/foo/-","value":["abc","def"]}]""", """{"foo":["bar",["abc","def"]]}""")]
    [InlineData("""{"a":{"b":1}}""", """[{"op":"copy","from":"/a","path":"/c"}]""", """{"a":{"b":1},"c":{"b":1}}""")]
    public void JsonPatch_does_what_RFC_6902_shows(string document, string patch, string expected)
    {
        PatchResult result = JsonPatch.Apply(JsonNode.Parse(document), JsonNode.Parse(patch));
        Assert.Null(result.Error);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), result.Document), result.Document?.ToJsonString());
    }

    [Theory]
    [InlineData("""{"baz":"qux"}""", """[{"op":"test","path":"/baz","value":"bar"}]""", "/baz")]
    [InlineData("""{"foo":"bar"}""", """[{"op":"add","path":"/baz/bat","value":"qux"}]""", "/baz/bat")]
    [InlineData("""{"/":9,"~1":10}""", """[{"op":"test","path":"/~01","value":"10"}]""", "/~01")]
    [InlineData("""{"a":1}""", """[{"op":"remove","path":"/b"}]""", "/b")]
    [InlineData("""{"a":[1]}""", """[{"op":"add","path":"/a/2","value":1}]""", "/a/2")]
    [InlineData("""{"a":[1]}""", """[{"op":"replace","path":"/a/01","value":1}]""", "/a/01")]
    [InlineData("""{"a":{"b":1}}""", """[{"op":"move","from":"/a","path":"/a/b"}]""", "itself")]
    [InlineData("""{"a":1}""", """[{"op":"spoil","path":"/a"}]""", "spoil")]
    [InlineData("""{"a":1}""", """{"op":"add"}""", "array")]
    public void JsonPatch_says_what_failed(string document, string patch, string part)
    {
        PatchResult result = JsonPatch.Apply(JsonNode.Parse(document), JsonNode.Parse(patch));
        Assert.Contains(part, result.Error, StringComparison.Ordinal);
    }

    // RFC 7386, appendix A.
    [Theory]
    [InlineData("""{"a":"b"}""", """{"a":"c"}""", """{"a":"c"}""")]
    [InlineData("""{"a":"b"}""", """{"b":"c"}""", """{"a":"b","b":"c"}""")]
    [InlineData("""{"a":"b"}""", """{"a":null}""", """{}""")]
    [InlineData("""{"a":"b","b":"c"}""", """{"a":null}""", """{"b":"c"}""")]
    [InlineData("""{"a":["b"]}""", """{"a":"c"}""", """{"a":"c"}""")]
    [InlineData("""{"a":"c"}""", """{"a":["b"]}""", """{"a":["b"]}""")]
    [InlineData("""{"a":{"b":"c"}}""", """{"a":{"b":"d","c":null}}""", """{"a":{"b":"d"}}""")]
    [InlineData("""{"a":[{"b":"c"}]}""", """{"a":[1]}""", """{"a":[1]}""")]
    [InlineData("""["a","b"]""", """["c","d"]""", """["c","d"]""")]
    [InlineData("""{"a":"b"}""", """["c"]""", """["c"]""")]
    [InlineData("""{"e":null}""", """{"a":1}""", """{"e":null,"a":1}""")]
    [InlineData("""[1,2]""", """{"a":"b","c":null}""", """{"a":"b"}""")]
    [InlineData("""{}""", """{"a":{"bb":{"ccc":null}}}""", """{"a":{"bb":{}}}""")]
    public void MergePatch_does_what_RFC_7386_shows(string document, string patch, string expected) =>
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), MergePatch.Apply(JsonNode.Parse(document), JsonNode.Parse(patch))));

    [Theory]
    // A list with a merge key merges, others are replaced.
    [InlineData("""{"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}}""", """{"spec":{"containers":[{"name":"b","image":"2"},{"name":"c","image":"3"}]}}""",
        """{"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"2"},{"name":"c","image":"3"}]}}""")]
    [InlineData("""{"spec":{"tolerations":[{"key":"a"}]}}""", """{"spec":{"tolerations":[{"key":"b"}]}}""", """{"spec":{"tolerations":[{"key":"b"}]}}""")]
    // Ports: containerPort in a container, port in a service.
    [InlineData("""{"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"name":"x"}]}]}}""", """{"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"protocol":"TCP"}]}]}}""",
        """{"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"name":"x","protocol":"TCP"}]}]}}""")]
    [InlineData("""{"spec":{"ports":[{"port":80,"name":"x"}]}}""", """{"spec":{"ports":[{"port":81}]}}""", """{"spec":{"ports":[{"port":80,"name":"x"},{"port":81}]}}""")]
    // Directives.
    [InlineData("""{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}""", """{"spec":{"containers":[{"name":"a","$patch":"delete"}]}}""", """{"spec":{"containers":[{"name":"b"}]}}""")]
    [InlineData("""{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}""", """{"spec":{"containers":[{"$patch":"replace"},{"name":"c"}]}}""", """{"spec":{"containers":[{"name":"c"}]}}""")]
    [InlineData("""{"metadata":{"labels":{"a":"1","b":"2"}}}""", """{"metadata":{"labels":{"$patch":"replace","c":"3"}}}""", """{"metadata":{"labels":{"c":"3"}}}""")]
    [InlineData("""{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}}""", """{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}""", """{"spec":{"strategy":{"type":"Recreate"}}}""")]
    [InlineData("""{"metadata":{"finalizers":["a","b"]}}""", """{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["c"]}}""", """{"metadata":{"finalizers":["b","c"]}}""")]
    [InlineData("""{"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"server"}]}}""", """{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a","image":"2"}]}}""",
        """{"spec":{"containers":[{"name":"b"},{"name":"a","image":"2"},{"name":"server"}]}}""")]
    [InlineData("""{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}""", """{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}}""", """{"spec":{"containers":[{"name":"b"},{"name":"a"}]}}""")]
    // Nulls and directives leave no trace where nothing was.
    [InlineData("""{}""", """{"spec":{"a":null,"volumes":[{"name":"v","emptyDir":{},"hostPath":null,"$retainKeys":["name","emptyDir"]}]}}""", """{"spec":{"volumes":[{"name":"v","emptyDir":{}}]}}""")]
    [InlineData("""{"spec":{"volumes":[{"name":"v","hostPath":{"path":"/"}}]}}""", """{"spec":{"volumes":[{"name":"v","emptyDir":{},"$retainKeys":["name","emptyDir"]}]}}""", """{"spec":{"volumes":[{"name":"v","emptyDir":{}}]}}""")]
    [InlineData("""{"status":{"conditions":[{"type":"Ready","status":"False"}]}}""", """{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"New","status":"True"}]}}""", """{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"New","status":"True"}]}}""")]
    public void Strategic_merge_follows_the_merge_keys_and_directives(string document, string patch, string expected)
    {
        JsonObject before = JsonNode.Parse(document)!.AsObject();
        PatchResult result = StrategicMergePatch.Apply(before, JsonNode.Parse(patch)!.AsObject());
        Assert.Null(result.Error);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), result.Document), result.Document?.ToJsonString());
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(document), before), "the input must stay as it is");
    }

    [Theory]
    [InlineData("""{"spec":{"containers":[{"image":"1"}]}}""", "merge key")]
    [InlineData("""{"spec":{"$patch":"explode"}}""", "explode")]
    [InlineData("""{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"z","image":"1"}]}}""", "order")]
    public void Strategic_merge_says_what_is_wrong(string patch, string part) =>
        Assert.Contains(part, StrategicMergePatch.Apply(JsonNode.Parse("""{"spec":{"containers":[{"name":"a"}]}}""")!.AsObject(), JsonNode.Parse(patch)!.AsObject()).Error, StringComparison.Ordinal);
}
