using Atoll.Edge.Content;

namespace Atoll.Tests.Edge;

public sealed class ImageReferenceTests
{
    private const string Digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    [Theory]
    [InlineData("busybox", "docker.io/library/busybox:latest")]
    [InlineData("busybox:1.36", "docker.io/library/busybox:1.36")]
    [InlineData("team/app", "docker.io/team/app:latest")]
    [InlineData("docker.io/busybox", "docker.io/library/busybox:latest")]
    [InlineData("localhost/app", "localhost/app:latest")]
    [InlineData("localhost:5000/app:v1", "localhost:5000/app:v1")]
    [InlineData("10.0.0.1:5000/a/b/c", "10.0.0.1:5000/a/b/c:latest")]
    [InlineData("registry.example.com/a__b/c.d-e:T_1.x", "registry.example.com/a__b/c.d-e:T_1.x")]
    [InlineData("app@" + Digest, "docker.io/library/app@" + Digest)]
    [InlineData("app:v1@" + Digest, "docker.io/library/app@" + Digest)]
    [InlineData("oci:/srv/images/hello:v2", "oci:/srv/images/hello:v2")]
    [InlineData("oci:/srv/images/hello", "oci:/srv/images/hello:latest")]
    public void Names_have_one_full_form_for_the_node_and_for_the_scheduler(string text, string canonical) =>
        Assert.Equal((canonical, canonical), (ImageReference.Parse(text)?.Canonical, Atoll.Api.Core.ImageNames.Canonical(text)));

    [Theory]
    [InlineData("")]
    [InlineData("Busybox")]
    [InlineData("app:")]
    [InlineData("app:-tag")]
    [InlineData("app@sha256:123")]
    [InlineData("app@md5:0123456789abcdef0123456789abcdef")]
    [InlineData("a//b")]
    [InlineData("/a")]
    [InlineData("a/../b")]
    [InlineData("host:99999/a")]
    [InlineData("a...b")]
    [InlineData("a_-b")]
    [InlineData("app name")]
    [InlineData("oci:/a/../b")]
    public void What_is_no_name_is_refused(string text) => Assert.Null(ImageReference.Parse(text));
}
