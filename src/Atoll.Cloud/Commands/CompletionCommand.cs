using System.CommandLine;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll completion SHELL</c>: a script that asks the program itself what may follow.</summary>
internal static class CompletionCommand
{
    public static Command Create()
    {
        var shell = new Argument<string>("shell") { Description = "bash, zsh or fish" };
        string[] shells = ["bash", "zsh", "fish"];
        shell.CompletionSources.Add(shells);
        shell.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is { } value && Array.IndexOf(shells, value) < 0)
                result.AddError($"shell: '{value}' is not one of {string.Join(", ", shells)}.");
        });
        var command = new Command("completion", """
            Print a shell's completion script.

            Examples:
              source <(atoll completion bash)
              atoll completion zsh > "${fpath[1]}/_atoll"
              atoll completion fish > ~/.config/fish/completions/atoll.fish
            """) { shell };
        command.SetAction(parsed => Console.Write(parsed.GetValue(shell) switch
        {
            "bash" => """
                _atoll() {
                  local IFS=$'\n'
                  COMPREPLY=($(compgen -W "$(atoll "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
                }
                complete -F _atoll atoll

                """,
            "zsh" => """
                #compdef atoll
                _atoll() {
                  local -a found
                  found=("${(@f)$(atoll "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}")
                  compadd -- $found
                }
                compdef _atoll atoll

                """,
            _ => """
                complete -c atoll -f -a '(atoll "[suggest:"(commandline -C)"]" (commandline -cp))'

                """,
        }));
        return command;
    }
}
