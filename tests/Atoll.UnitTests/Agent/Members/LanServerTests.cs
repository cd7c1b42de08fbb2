using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Atoll.Agent.Identity;
using Atoll.Agent.Members;
using Atoll.Api.Objects;
using Atoll.Kube.Access;
using Atoll.Link;
using Atoll.Link.Members;
using Atoll.UnitTests.Kube;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.UnitTests.Agent.Members;

/// <summary>Whom the leading node of a site takes for which machine, and for alive.</summary>
public sealed class LanServerTests : KubeTestBase
{
    private const string Address = "192.168.7.12:6445";

    private readonly CancellationTokenSource _stop = new(TimeSpan.FromSeconds(30));
    private readonly X509Certificate2 _first = Machine(), _again = Machine();
    private LanClient _client = null!;
    private SiteLead _lead = null!;
    private LanServer _lan = null!;
    private Task _leading = Task.CompletedTask;

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        _client = new LanClient(new LanTls(static () => throw new InvalidOperationException(), static () => { }), static () => throw new InvalidOperationException(), []);
        _lead = await SiteLead.OpenAsync(new SiteLeadOptions { Self = new Member("one", "192.168.7.11:6445") }, Store, _client, Time, new Random(1), NullLogger.Instance, _stop.Token);
        var leads = new TaskCompletionSource();
        _leading = _lead.RunAsync(cancellation =>
        {
            leads.SetResult();
            return Task.Delay(Timeout.InfiniteTimeSpan, cancellation);
        }, _stop.Token);
        await leads.Task.WaitAsync(_stop.Token);
        _lan = new LanServer(_lead, new SiteCopy(_lead, Store, _client, Time, NullLogger.Instance), Store, Server, new LanForwarder(_client.Handler), new Nobody(), Time) { LanPort = 6445 };
        _lan.Lead(_stop.Token);
    }

    public override async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _leading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _client.Dispose();
        _first.Dispose();
        _again.Dispose();
        _stop.Dispose();
        await base.DisposeAsync();
    }

    [Fact]
    public async Task A_machine_that_joined_again_at_its_address_is_taken_in_and_another_only_when_that_one_is_dead()
    {
        Assert.True(await IsTakenInAsync(_first, Address));
        Assert.True(await IsTakenInAsync(_again, Address));
        Assert.False(await IsTakenInAsync(_first, "192.168.7.99:6445"));
        Time.Advance(_lead.DeadAfter);
        Assert.True(await IsTakenInAsync(_first, "192.168.7.99:6445"));
    }

    [Fact]
    public async Task What_a_node_runs_that_is_back_and_whose_beat_is_still_to_come_is_not_replaced()
    {
        _lead.Heard("two");
        Time.Advance(_lead.DeadAfter);
        Assert.True(_lead.IsDead("two"));
        Assert.True(await IsTakenInAsync(_first, Address));
        Assert.False(_lead.IsDead("two"));
        Time.Advance(_lead.DeadAfter);
        Assert.True(_lead.IsDead("two"));
    }

    [Fact]
    public async Task A_node_to_which_no_connection_is_made_in_time_cannot_be_reached()
    {
        using var handler = new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromMilliseconds(20),
            ConnectCallback = static async (_, cancellation) =>
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, cancellation);
                return Stream.Null;
            },
        };
        ApiStatus? failure = await new LanForwarder(handler).ServeAsync(new DefaultHttpContext { Request = { Method = "GET", Path = "/api" } }, Address, here: false);
        Assert.Equal((503, true), (failure?.Code, failure?.Message?.Contains(Address, StringComparison.Ordinal)));
    }

    // A node asks for the copy, and goes.
    private async Task<bool> IsTakenInAsync(X509Certificate2 machine, string address)
    {
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var context = new DefaultHttpContext
        {
            Request = { Method = "GET", Path = LanClient.CopyPath, QueryString = new QueryString($"?node=two&address={address}&incarnation=&after=0") },
            Connection = { RemoteIpAddress = IPAddress.Loopback, LocalPort = 6445, ClientCertificate = machine },
            RequestAborted = gone.Token,
        };
        Task serving = _lan.HandleAsync(context);
        bool isPresent = _lan.Present.Any(m => m.Name == "two");
        await gone.CancelAsync();
        await serving;
        return isPresent && context.Response.StatusCode == StatusCodes.Status200OK;
    }

    private static X509Certificate2 Machine()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new CertificateRequest("CN=system:site:lyon", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow, DateTimeOffset.UtcNow.AddDays(1));
    }

    private sealed class Nobody : IAuthenticator
    {
        public ValueTask<Identity?> AuthenticateAsync(HttpContext context) => new((Identity?)null);
    }
}
