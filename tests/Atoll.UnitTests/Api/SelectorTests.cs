using Atoll.Api.Selectors;

namespace Atoll.UnitTests.Api;

public sealed class SelectorTests
{
    [Theory]
    [InlineData("", true)]
    [InlineData("a=1", true)]
    [InlineData("a==1", true)]
    [InlineData("a=2", false)]
    [InlineData("a!=2", true)]
    [InlineData("missing!=x", true)]
    [InlineData("a in (1, 2),b", true)]
    [InlineData("a notin (1,2)", false)]
    [InlineData("!a", false)]
    [InlineData("!missing", true)]
    [InlineData("a>0,a<2", true)]
    [InlineData("x.dev/in=in", true)]
    [InlineData("e=", true)]
    public void Label_selectors_select(string text, bool expected)
    {
        Assert.True(LabelSelectorParser.TryParse(text, out LabelSelector selector, out string? error), error);
        Assert.Equal(expected, selector.Matches(new Dictionary<string, string> { ["a"] = "1", ["b"] = "", ["x.dev/in"] = "in", ["e"] = "" }));
    }

    [Theory]
    [InlineData("a=b=c")]
    [InlineData("a in b")]
    [InlineData("a in (b")]
    [InlineData(",a")]
    [InlineData("a,")]
    [InlineData("a>x")]
    [InlineData("-a=b")]
    [InlineData("a=-")]
    public void Broken_label_selectors_are_refused(string text) => Assert.False(LabelSelectorParser.TryParse(text, out _, out _));

    [Fact]
    public void Field_selectors_unescape_and_negate()
    {
        Assert.True(FieldSelector.TryParse(@"a.b=x\,y\=z,c!=d,e==f", out FieldSelector selector, out _));
        Assert.Equal([new FieldRequirement("a.b", "x,y=z", false), new("c", "d", true), new("e", "f", false)], selector.Requirements);
        Assert.False(FieldSelector.TryParse("nonsense", out _, out _));
    }
}
