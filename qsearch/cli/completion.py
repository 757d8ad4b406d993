"""`qsearch completion SHELL`."""

from __future__ import annotations

import click

from qsearch.cli.output import say_exactly
from qsearch.cli.shells import script, shell

_WHERE = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/completions/qsearch.fish",
}
"""The file that a shell reads at its start."""


@click.command()
@click.argument("name", type=click.Choice([*_WHERE]))
@click.pass_context
def completion(context: click.Context, name: str) -> None:
    """Print what makes SHELL complete qsearch's commands, options, configurations, their keys, runs and models.

    \b
    bash  qsearch completion bash >> ~/.bashrc
    zsh   qsearch completion zsh >> ~/.zshrc
    fish  qsearch completion fish > ~/.config/fish/completions/qsearch.fish
    """
    kind = shell(name)
    assert kind is not None, name
    made = script(kind(context.find_root().command, {}, "qsearch", "_QSEARCH_COMPLETE"))
    redirect = ">" if name == "fish" else ">>"
    # behind the script, as zsh looks at its first line
    say_exactly(f"{made}\n# to have it in every {name}: qsearch completion {name} {redirect} {_WHERE[name]}\n")
