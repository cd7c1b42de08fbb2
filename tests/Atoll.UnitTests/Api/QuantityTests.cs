using Atoll.Api.Quantities;

namespace Atoll.UnitTests.Api;

public sealed class QuantityTests
{
    [Theory]
    [InlineData("100m", 100)]
    [InlineData("1", 1000)]
    [InlineData("1.5", 1500)]
    [InlineData(".5", 500)]
    [InlineData("2Ki", 2048000)]
    [InlineData("1e3", 1000000)]
    [InlineData("1E3", 1000000)]
    [InlineData("1E", long.MaxValue)]
    [InlineData("1Ei", long.MaxValue)]
    [InlineData("0.001Ei", 1L << 60)]
    [InlineData("100u", 1)]
    [InlineData("-1", -1000)]
    public void Reads_what_Kubernetes_reads(string text, long milli)
    {
        Assert.True(Quantity.TryParse(text, out Quantity quantity));
        Assert.Equal(milli, quantity.Milli);
    }

    [Theory]
    [InlineData("")]
    [InlineData("m")]
    [InlineData("1.2.3")]
    [InlineData("1 Gi")]
    [InlineData("1gi")]
    [InlineData("1e999")]
    public void Refuses_what_is_no_quantity(string text) => Assert.False(Quantity.TryParse(text, out _));
}
