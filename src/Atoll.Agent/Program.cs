return await Atoll.Agent.Commands.AgentCli.RunAsync(args);
