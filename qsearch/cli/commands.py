"""The commands, by name: where each is, and what it does in a line.

A command's module is imported when it is called or asked for its help, so that the others cost nothing. To add one:
its module with a `click.command()`, and its row here. Options that every command has come from `messages`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import click

from qsearch.cli.messages import Messages, message_options
from qsearch.errors import did_you_mean, shown


@dataclass(frozen=True)
class Listed:
    """Where a command is, "module:name", and what `qsearch --help` says of it."""

    path: str
    help: str


COMMANDS: Mapping[str, Listed] = {
    "init": Listed("qsearch.cli.init:init", "Write a configuration for a model."),
    "check": Listed("qsearch.cli.check:check", "Check a configuration, and say what a run of it would do."),
    "run": Listed("qsearch.cli.run:run", "Search the best quantized version of a model."),
    "resume": Listed("qsearch.cli.resume:resume", "Go on with a run that was stopped, or is to have more trials."),
    "blocks": Listed("qsearch.cli.blocks:blocks", "Search block by block, or look at the blocks before."),
    "suggest": Listed("qsearch.cli.suggest:suggest", "Suggest plans for a trained model, without training."),
    "energy": Listed("qsearch.cli.energy:energy", "Print the energy of one inference, layer by layer."),
    "quantize": Listed("qsearch.cli.quantize:quantize", "Apply a plan to a model, without a search."),
    "verify": Listed("qsearch.cli.verify:verify", "Check that every weight is on its quantizer's grid."),
    "export": Listed("qsearch.cli.export:export", "Write a quantized model for hardware, bit for bit."),
    "report": Listed("qsearch.cli.report:report", "Write the report of a run anew, or of several."),
    "trials": Listed("qsearch.cli.trials:trials", "Show the trials of a run."),
    "best": Listed("qsearch.cli.best:best", "Show the best model of a run, and its plan."),
    "compare": Listed("qsearch.cli.compare:compare_runs", "Put runs side by side."),
    "list": Listed("qsearch.cli.list:list_names", "Show the names that a configuration can use."),
    "schema": Listed("qsearch.cli.schema:schema", "Print the JSON Schema of a configuration."),
    "doctor": Listed("qsearch.cli.doctor:doctor", "Look whether qsearch can run here, and what is missing."),
    "completion": Listed("qsearch.cli.completion:completion", "Print what makes a shell complete qsearch's commands."),
}
"""In the order of `qsearch --help`."""


class Commands(click.Group):
    """The group of `COMMANDS`, each with the options that say what is told beside its results."""

    def __init__(self, messages: Messages, table: Mapping[str, Listed] = COMMANDS, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]  # click's own
        self.messages = messages
        self.table = table
        self.params = [*self.params, *message_options(messages)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.table]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, _, name = self.table[cmd_name].path.partition(":")
        command = copy.copy(getattr(import_module(module), name))
        taken = {option for parameter in command.params for option in parameter.opts}
        more = [option for option in message_options(self.messages) if not taken & {*option.opts}]
        command.params = [*command.params, *more]
        return command  # type: ignore[no-any-return]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.table and not args[0].startswith("-"):
            near = did_you_mean(args[0], self.table) or f"; there are {', '.join(self.table)}"
            raise click.UsageError(f"No such command {shown(args[0])}{near}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does it, without a look at the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.help) for name, listed in self.table.items()])
