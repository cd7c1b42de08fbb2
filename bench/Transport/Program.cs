// One client and one server in two variants: the link (WebSocket and multiplexer) and gRPC streams over HTTP/2, both over
// TLS 1.3 with client certificates. The client stays idle, or sends an urgent packet of 64 bytes every 200 ms and waits for
// its echo, alone and while 1 MiB of bulk flows; it prints its memory and the echo's p50 and p99.
using Atoll.Bench.Transport;

if (args.Length < 3)
{
    Console.Error.WriteLine("usage: transport-bench server|ws|grpc HOST PORT [idle-seconds]");
    return 2;
}
Certificates certificates = Certificates.LoadOrMake(Path.Combine(AppContext.BaseDirectory, "bench-certificates"));
int port = int.Parse(args[2], System.Globalization.CultureInfo.InvariantCulture);
int idle = args.Length > 3 ? int.Parse(args[3], System.Globalization.CultureInfo.InvariantCulture) : 10;
if (args[0] == "server")
{
    await BenchServer.RunAsync(certificates, port);
    return 0;
}
await using IBenchClient client = args[0] == "ws"
    ? await LinkClient.ConnectAsync(certificates, args[1], port)
    : await GrpcClient.ConnectAsync(certificates, args[1], port + 1);
await Measure.RunAsync(args[0], client, idle);
return 0;
