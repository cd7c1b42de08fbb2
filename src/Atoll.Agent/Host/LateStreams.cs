using Atoll.Api.Objects;
using Atoll.Api.Streams;

namespace Atoll.Agent.Host;

/// <summary>The streams of node control, which is made after the API that serves them.</summary>
internal sealed class LateStreams(Func<IPodStreams> streams) : IPodStreams
{
    public Task<ApiStatus?> LogsAsync(KubeObject pod, LogRequest request, Stream output, CancellationToken cancellation) => streams().LogsAsync(pod, request, output, cancellation);

    public Task<StreamStart<IProcessStreams>> ExecAsync(KubeObject pod, ExecRequest request, CancellationToken cancellation) => streams().ExecAsync(pod, request, cancellation);

    public Task<StreamStart<IProcessStreams>> AttachAsync(KubeObject pod, ExecRequest request, CancellationToken cancellation) => streams().AttachAsync(pod, request, cancellation);

    public Task<StreamStart<Stream>> PortForwardAsync(KubeObject pod, int port, CancellationToken cancellation) => streams().PortForwardAsync(pod, port, cancellation);
}
