return await Atoll.Cloud.Commands.Cli.RunAsync(args);
