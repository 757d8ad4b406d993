"""How shells are answered that ask what to complete."""

from __future__ import annotations

from collections.abc import Mapping

import click
from click.shell_completion import BashComplete, CompletionItem, ShellComplete, get_completion_class

from qsearch.cli.output import say_exactly
from qsearch.exit_codes import ExitCode


class Bash(BashComplete):
    """Bash, which takes KEY=VALUE for three words, and puts a space behind a word that goes on."""

    source_template = BashComplete.source_template.replace(
        "    return 0\n",
        "    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=.] ]]; then compopt -o nospace 2> /dev/null; fi\n"
        "    return 0\n",
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        words = [*args, incomplete]
        while _EQUALS in words[1:]:
            at = words.index(_EQUALS, 1)
            words[at - 1 : at + 2] = ["".join(words[at - 1 : at + 2])]
        return words[:-1], words[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        found = super().get_completions(args, incomplete)
        key, equals, _ = incomplete.partition(_EQUALS)
        if not equals:
            return found
        # only what stands behind the = is the word that bash completes
        return [CompletionItem(item.value.removeprefix(f"{key}="), item.type, item.help) for item in found]


_EQUALS = "="
_OWN: Mapping[str, type[ShellComplete]] = {"bash": Bash}


def shell(name: str) -> type[ShellComplete] | None:
    """How a shell is answered; None for one that nobody knows."""
    return _OWN.get(name) or get_completion_class(name)


def answer(command: click.Command, program: str, variable: str, asked: str) -> int:
    """Answer a shell.

    Args:
        variable: the one by which it asks; asked: its value, such as "bash_complete" or "zsh_source".
    """
    name, _, instruction = asked.partition("_")
    kind = shell(name)
    if kind is None or instruction not in ("source", "complete"):
        return ExitCode.CONFIG
    made = kind(command, {}, program, variable)
    say_exactly(f"{script(made) if instruction == 'source' else made.complete()}\n")
    return ExitCode.DONE


def script(made: ShellComplete) -> str:
    """What makes the shell ask.

    click's own way starts bash to look at its version; 4.4, which it wants, is of 2016.
    """
    return made.source_template % made.source_vars()
