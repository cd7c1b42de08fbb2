Atoll.Agent.Host.ResidentMemory.Prepare();
// The supervisor stays small: it does not even read a command line.
return args is ["supervise", .. string[] rest] && !Array.Exists(rest, a => a is "--help" or "-h" or "-?")
    ? await Atoll.Agent.Commands.Supervisor.RunAsync(rest)
    : await Atoll.Agent.Commands.AgentCli.RunAsync(args);
