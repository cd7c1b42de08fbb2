using System.Text.Json;
using Atoll.Api.Objects;
using Atoll.Kube.Access;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Atoll.Kube.Http;

/// <summary>
/// One HTTP request, from top to bottom:
/// 1. health and version are answered to anybody;
/// 2. the identity is found; without one the answer is 401;
/// 3. what the server says of itself (discovery, schemas) is answered;
/// 4. reviews of one's own rights are answered;
/// 5. the path is read as a resource;
/// 6. the verb is carried out (<see cref="ResourceEndpoints"/>), access first.
/// Whatever goes wrong is a Status.
/// </summary>
internal sealed class KubeHttp(ApiServer server)
{
    private readonly MetaEndpoints _meta = new(server);
    private readonly Reviews _reviews = new(server);
    private readonly ResourceEndpoints _resources = new(server);

    /// <summary>Serves a request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        ApiStatus? failure;
        try
        {
            failure = await ServeAsync(context).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return; // The client has gone.
        }
        catch (Exception e) when (context.Response.HasStarted || context.RequestAborted.IsCancellationRequested)
        {
            server.Options.Logger.LogDebug(e, "{Method} {Path} broke off", context.Request.Method, context.Request.Path);
            context.Abort();
            return;
        }
        catch (BadHttpRequestException e)
        {
            failure = e.StatusCode == StatusCodes.Status413PayloadTooLarge ? ApiStatus.TooLarge(server.Options.MaxBodyBytes) : ApiStatus.BadRequest(e.Message);
        }
        catch (JsonException e)
        {
            failure = ApiStatus.BadRequest(e.Message);
        }
        catch (ObjectDisposedException) when (!server.IsHealthy)
        {
            failure = ApiStatus.ServiceUnavailable("the server is closing");
        }
        catch (Exception e)
        {
            server.Options.Logger.LogError(e, "{Method} {Path} failed", context.Request.Method, context.Request.Path);
            failure = ApiStatus.InternalError("an unexpected failure, see the server's log");
        }
        if (failure is not null)
            await Answers.StatusAsync(context, failure).ConfigureAwait(false);
    }

    private async Task<ApiStatus?> ServeAsync(HttpContext context)
    {
        string path = context.Request.Path.Value ?? "/";
        // 1. Health and version.
        if (await _meta.TryOpenAsync(context, path).ConfigureAwait(false))
            return null;
        // 2. Identity.
        if (await AuthenticateAsync(context).ConfigureAwait(false) is not { } identity)
            return ApiStatus.Unauthorized();
        // 3. Discovery and schemas.
        if (context.Request.Method == "GET" && await _meta.TryDiscoverAsync(context, path).ConfigureAwait(false))
            return null;
        if (context.Request.Method != "GET" && _meta.Describes(path))
            return ApiStatus.MethodNotAllowed("the server does not allow this method on the requested resource: only GET");
        // 4. Reviews.
        if (await _reviews.TryAnswerAsync(context, path, identity).ConfigureAwait(false))
            return null;
        // 5. Resource.
        if (!ResourcePath.TryParse(path, out ResourcePath resource))
            return NoSuchPath();
        // 6. Verb.
        return await _resources.ServeAsync(context, resource, identity).ConfigureAwait(false);
    }

    private async ValueTask<Identity?> AuthenticateAsync(HttpContext context)
    {
        foreach (IAuthenticator authenticator in server.Options.Authenticators)
            if (await authenticator.AuthenticateAsync(context).ConfigureAwait(false) is { } identity)
                return identity;
        return null;
    }

    private static ApiStatus NoSuchPath() => new()
    {
        Code = StatusCodes.Status404NotFound,
        Reason = "NotFound",
        Message = "the server could not find the requested resource",
        Details = new StatusDetails(),
    };
}
