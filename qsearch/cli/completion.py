"""`qsearch completion SHELL`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from qsearch.cli.output import say_exactly

_WHERE = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/completions/qsearch.fish",
}
"""The file that a shell reads at its start."""


@click.command()
@click.argument("shell", type=click.Choice([*_WHERE]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete qsearch's commands, options, configurations and runs.

    \b
    bash  qsearch completion bash >> ~/.bashrc
    zsh   qsearch completion zsh >> ~/.zshrc
    fish  qsearch completion fish > ~/.config/fish/completions/qsearch.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell
    root = context.find_root()
    # its `source` of bash would start bash to look at the version; 4.4, which it wants, is of 2016
    script = kind.source_template % kind(root.command, {}, "qsearch", "_QSEARCH_COMPLETE").source_vars()
    redirect = ">" if shell == "fish" else ">>"
    # behind the script, as zsh looks at its first line
    say_exactly(f"{script}\n# to have it in every {shell}: qsearch completion {shell} {redirect} {_WHERE[shell]}\n")
