using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Globalization;
using Atoll.Api.Selectors;
using Atoll.Kube.Client;

namespace Atoll.Cloud.Commands;

/// <summary>How a command ended, as the shell sees it. Documented in docs/SPECIFICATION.md.</summary>
internal static class ExitCodes
{
    public const int Success = 0, Failure = 1, Usage = 2, NotFound = 3, Unreachable = 4;
}

/// <summary>A failure that the user can act on: the message says what is wrong and what to do.</summary>
internal sealed class CommandException(string message, int exitCode = ExitCodes.Failure) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}

/// <summary>The operator's program: its commands, and the one place where failures become messages and exit codes.</summary>
internal static class Cli
{
    /// <summary>Where the API is and who asks.</summary>
    public static readonly Option<string?> Kubeconfig = new("--kubeconfig")
    {
        Description = "kubeconfig file of the centre (default: $KUBECONFIG, then the one of 'atoll up', then ~/.kube/config)",
        Recursive = true,
    };

    /// <summary>Form of the output.</summary>
    public static readonly Option<string> Output = Among(new Option<string>("--output", "-o")
    {
        Description = "form of the output: table, json or yaml",
        DefaultValueFactory = _ => "table",
        Recursive = true,
    }, "table", "json", "yaml");

    public static async Task<int> RunAsync(string[] arguments)
    {
        var root = new RootCommand("""
            Atoll: an edge cloud-native operating system. One Kubernetes API over many small sites that keep working alone.

            Examples:
              atoll server --state /var/lib/atoll/centre          start a centre
              atoll site create lyon-1 --region eu --kind near    invite a site and print its join command
              atoll site list -o json                             the sites and their states
              atoll explain web-0                                 why a pod is where it is, or nowhere
              atoll capacity --flavour 4c8g                       how many can still be sold, and where
              sudo atoll up                                       a centre and three sites on this machine
            """)
        {
            ServerCommand.Create(),
            SiteCommands.Create(),
            AuthorityCommands.Create(),
            ExplainCommand.Create(),
            CapacityCommand.Create(),
            DeliveryCommand.Create(),
            LocalCommands.Up(),
            LocalCommands.Down(),
            LocalCommands.Keep(),
            LocalCommands.Status(),
            LocalCommands.Cut(),
            LocalCommands.Heal(),
            SimulateCommand.Create(),
            DefragmentCommand.Create(),
            CompletionCommand.Create(),
        };
        root.Options.Add(Kubeconfig);
        root.Options.Add(Output);
        ParseResult parsed = root.Parse(arguments);
        // The library's exit code for a mistyped command line is 1; by convention it is 2.
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction)
        {
            await parsed.InvokeAsync();
            return ExitCodes.Usage;
        }
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(20) });
        }
        catch (CommandException e)
        {
            return Fail(e.Message, e.ExitCode);
        }
        catch (InvalidDataException e)
        {
            return Fail(e.Message, ExitCodes.Failure);
        }
        catch (HttpRequestException e) when (e.HttpRequestError == HttpRequestError.SecureConnectionError)
        {
            return Fail($"no connection that can be trusted: {e.InnerException?.Message ?? e.Message} Is --kubeconfig, and certificate-authority-data in it, of this centre?", ExitCodes.Unreachable);
        }
        catch (HttpRequestException e)
        {
            return Fail($"the centre cannot be reached: {e.Message}. Is 'atoll server' running, and is --kubeconfig right?", ExitCodes.Unreachable);
        }
        catch (OperationCanceledException)
        {
            return Fail("cancelled", 130);
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            return Fail(e.Message, ExitCodes.Failure);
        }
    }

    /// <summary>A client of the centre that the command line names.</summary>
    public static (HttpResources Resources, KubeConfig Config) Connect(ParseResult parsed)
    {
        string? path = parsed.GetValue(Kubeconfig) ?? Environment.GetEnvironmentVariable("KUBECONFIG");
        if (string.IsNullOrEmpty(path))
        {
            string local = Path.Combine(LocalCommands.DefaultHome, "kubeconfig");
            path = File.Exists(local) ? local : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".kube", "config");
        }
        KubeConfig config = KubeConfig.Load(path);
        return (new HttpResources(config), config);
    }

    /// <summary>An option with so many values: they are completed, and any other is refused in words that name it.</summary>
    public static Option<string> Among(Option<string> option, params string[] values)
    {
        option.CompletionSources.Add(values);
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is { } value && Array.IndexOf(values, value) < 0)
                result.AddError($"{option.Name}: '{value}' is not one of {string.Join(", ", values)}.");
        });
        return option;
    }

    /// <summary>Refuses an empty path.</summary>
    public static void NotEmpty(OptionResult result)
    {
        if (result.GetValueOrDefault<string?>() is "")
            result.AddError($"{result.Option.Name}: it is empty; name a folder.");
    }

    /// <summary>The name of an object. Any other text is refused here: an empty one, or "..", would be another address of the API.</summary>
    public static Argument<string> Name(string what)
    {
        var name = new Argument<string>("name") { Description = $"{what}: lower-case letters, digits, '-' and '.'" };
        name.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is { } text && (text.Length > 253 || !LabelSyntax.IsSubdomain(text)))
                result.AddError($"name: '{text}' is not a name: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit, such as lyon-1.");
        });
        return name;
    }

    /// <summary>An option for a number from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public static Option<double?> Within(Option<double?> option, double least, double most)
    {
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double?>() is { } value && !(value >= least && value <= most))
                result.AddError(string.Create(CultureInfo.InvariantCulture, $"{option.Name}: {value} is not a number from {least} to {most}."));
        });
        return option;
    }

    private static int Fail(string message, int code)
    {
        Console.Error.WriteLine($"error: {message}");
        return code;
    }
}
