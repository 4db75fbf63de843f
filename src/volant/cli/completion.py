"""`volant completion SHELL`: the script that lets a shell complete commands."""

import click
from click.shell_completion import get_completion_class

from volant.cli.commands import Command

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_VOLANT_COMPLETE"
"""Set by the scripts when they ask for words."""


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that lets a shell complete commands, options, and names of runs, tasks and settings.

    \b
    bash   echo 'eval "$(volant completion bash)"' >> ~/.bashrc
    zsh    echo 'eval "$(volant completion zsh)"' >> ~/.zshrc
    fish   volant completion fish > ~/.config/fish/completions/volant.fish
    """
    found = get_completion_class(shell)
    if found is None:
        msg = f"the installed click has no completion for {shell}"
        raise click.ClickException(msg)
    root = click.get_current_context().find_root().command
    script = found(root, {}, "volant", VARIABLE).source()
    # Click splits at every comma: what a word means would end at its first one.
    click.echo(script.replace('string split ","', 'string split -m 1 ","') if shell == "fish" else script)
