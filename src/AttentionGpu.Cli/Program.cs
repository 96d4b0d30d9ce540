using AttentionGpu.Cli.Commands;

return CommandLine.Run(args);
