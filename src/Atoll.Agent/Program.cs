Atoll.Agent.Host.ResidentMemory.Prepare();
return await Atoll.Agent.Commands.AgentCli.RunAsync(args);
