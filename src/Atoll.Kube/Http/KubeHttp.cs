using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

internal sealed class KubeHttp(ApiServer server)
{
    public Task HandleAsync(HttpContext context)
    {
        context.Response.StatusCode = server.IsHealthy ? 404 : 503;
        return Task.CompletedTask;
    }
}
