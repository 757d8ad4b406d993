"""`qsearch init [MODEL]`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli.arguments import MODEL_ENDINGS, MODEL_OR_NAME
from qsearch.cli.data_choice import named_data
from qsearch.cli.model_choice import arguments_of, chosen_model, model_options
from qsearch.cli.output import say, say_exactly
from qsearch.cli.schema import schema_text
from qsearch.config.draft import SCHEMA_FILE
from qsearch.config.names import DATASETS, MODELS, TARGET_ALIASES, TARGETS
from qsearch.config.search_modes import MODES
from qsearch.errors import ConfigError, OutputError, shown
from qsearch.files import writable, written_whole
from qsearch.imports import look_in
from qsearch.paths import as_text, expanded
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.runner.drafted import DataChoice, Wishes
    from qsearch.runner.survey import Survey

_DEFAULT = Path("qsearch.yaml")
_OF_OURS = '"title": "A configuration of qsearch"'


def _energy() -> Any:
    from qsearch.config.fields import Energy

    return Energy


def _share() -> Any:
    from qsearch.config.fields import Share

    return Share


def _valid(kind: Callable[[], Any], example: str) -> Callable[[Any, Any, str | None], str | None]:
    """A callback of an option: the text is what a file may hold at the key, whose type `kind` imports."""

    def check(_context: Any, _option: Any, value: str | None) -> str | None:
        if value is None:
            return None
        from pydantic import TypeAdapter, ValidationError

        number = re.fullmatch(r"[0-9.]+(?:[eE][+-]?[0-9]+)?", value)
        try:
            TypeAdapter(kind()).validate_python(float(value) if number else value)
        except (ValidationError, ValueError):
            raise click.BadParameter(f"found {shown(value)}, expected something such as {example}") from None
        return value

    return check


@click.command()
@click.argument("model", required=False, type=MODEL_OR_NAME)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=_DEFAULT,
    show_default=True,
    help="The file to write; - prints it.",
)
@click.option("--data", metavar="NAME|FILE.npz|MODULE:FUNCTION", help=f"The data set: {', '.join(DATASETS)}; or yours.")
@click.option("--mode", type=click.Choice(MODES), help="How to search.  [default: guided]")
@click.option("--trials", type=click.IntRange(1, 1_000_000), help="Trials to train.  [default: 20]")
@click.option("--budget", metavar="ENERGY", callback=_valid(_energy, "20nJ"), help="Most energy, as 20nJ.")
@click.option("--max-drop", metavar="PART", callback=_valid(_share, "1%"), help="Most of the metric to lose, as 1%.")
@click.option("--target", type=click.Choice((*TARGETS, *TARGET_ALIASES)), help="Search only what it computes exactly.")
@click.option("--blocks", "blockwise", is_flag=True, help="Search block by block; without it, blocks are suggested.")
@model_options
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def init(
    model: str | None,
    output: Path,
    data: str | None,
    mode: str | None,
    trials: int | None,
    budget: str | None,
    max_drop: str | None,
    target: str | None,
    blockwise: bool,
    load_weights: str | None,
    custom_objects: tuple[str, ...],
    arguments: tuple[str, ...],
    force: bool,
) -> None:
    """Write a configuration for MODEL: a .keras, .h5 or .json file, a network's name (mnist), or module:function.

    In a terminal, without options, it asks; else options say what is wanted. The file has limits for the layers that
    the model has, a loss for its outputs, and a data set of its shapes, or a template of a function that gives one.
    """
    printed = str(output) == "-"
    path = _DEFAULT if printed else expanded(output)
    given = (
        data,
        mode,
        trials,
        budget,
        max_drop,
        target,
        blockwise or None,
        load_weights,
        custom_objects or None,
        arguments or None,
    )
    asks = _is_terminal() and all(one is None for one in given)
    if not printed:
        _refuse_existing(path, force)
        writable(path)
    if model is None:
        model = _ask_model() if asks else None
    if model is None:
        raise click.UsageError(f"MODEL is missing: a model file, module:function, or one of {', '.join(MODELS)}")
    if asks:
        load_weights, arguments = _asked_of_model(model)
    choice = chosen_model(as_text(model), load_weights, custom_objects, arguments)
    with quiet_start():
        from qsearch.runner.drafted import Wishes, drafted, suggested_data
        from qsearch.runner.survey import survey

    for folder in (path.parent, Path()):
        look_in(folder)
    seen = survey(choice.build())
    suggestion = suggested_data(choice, seen)
    wishes = Wishes(
        mode=mode or "guided",
        trials=trials or 20,
        budget=budget,
        max_drop=max_drop,
        target=TARGET_ALIASES.get(str(target), target),
        blockwise=blockwise,
    )
    if asks:
        data = click.prompt(
            f"Data set ({', '.join(DATASETS)}; FILE.npz; MODULE:FUNCTION; template: a function to fill in)",
            default=suggestion or "template",
        )
        data = None if data == "template" else data
        wishes = _asked(wishes)
        suggestion = None
    origin = _data(data, seen, suggestion, path)
    text = drafted(choice, origin, seen, wishes, str(path), schema=not printed)
    if printed:
        say_exactly(text)
        return
    _write(_Files(path, text, _template(origin, seen), force))
    _next(path, origin)


def _refuse_existing(path: Path, force: bool) -> None:
    """Before anything is loaded. A schema of ours is written anew, as it is that of this version."""
    if force:
        return
    if path.exists():
        raise OutputError(f"{path} is there already; name another file with -o, or overwrite it with --force")
    schema = path.with_name(SCHEMA_FILE)
    if schema.exists() and _OF_OURS not in schema.read_text(encoding="utf-8", errors="replace"):
        raise OutputError(f"{schema} is there already and is no schema of qsearch; overwrite it with --force")


def _ask_model() -> str:
    files = sorted(str(one) for one in Path().iterdir() if one.suffix in MODEL_ENDINGS[:3] and one.is_file())
    words = f"Model (a .keras or .h5 file, MODULE:FUNCTION, or one of {', '.join(MODELS)})"
    return str(click.prompt(words, default=files[0] if files else "digits"))


def _asked_of_model(model: str) -> tuple[str | None, tuple[str, ...]]:
    """What else a model needs: weights of an architecture, arguments of a function."""
    from qsearch.config.fields import is_import_path

    path = expanded(model)
    if path.suffix == ".json" and path.is_file():
        files = sorted(str(one) for one in path.parent.iterdir() if one.suffix == ".h5" and one.is_file())
        words = "Weights of it (the .h5 file of save_weights)"
        return str(click.prompt(words, default=files[0] if files else None)), ()
    if path.exists() or model in MODELS or not is_import_path(model):
        return None, ()
    words = "Arguments that the function is called with, such as width=32 depth=2 (Enter: none)"
    return None, click.prompt(words, default="", show_default=False, value_proc=_arguments)


def _arguments(answer: str) -> tuple[str, ...]:
    try:
        texts = tuple(shlex.split(answer))
        arguments_of(texts)
    except (ConfigError, ValueError) as error:
        raise click.BadParameter(str(error).removeprefix("--argument ")) from None
    return texts


def _is_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _asked(wishes: Wishes) -> Wishes:
    """The rest of the questions."""
    budget = click.prompt("Energy budget, such as 20nJ (Enter: none, the best score wins)", default="",
                          show_default=False, value_proc=_answer(_energy, "20nJ"))  # fmt: skip
    max_drop = click.prompt("Most of the metric to lose, such as 1% (Enter: what the score says)", default="",
                            show_default=False, value_proc=_answer(_share, "1%"))  # fmt: skip
    trials = click.prompt("Trials", default=wishes.trials, type=click.IntRange(1, 1_000_000))
    mode = click.prompt("Mode", default=wishes.mode, type=click.Choice(MODES))
    return replace(wishes, budget=budget or None, max_drop=max_drop or None, trials=trials, mode=mode)


def _answer(kind: Callable[[], Any], example: str) -> Callable[[str], str]:
    check = _valid(kind, example)
    return lambda value: check(None, None, value) or "" if value else ""


def _data(given: str | None, seen: Survey, suggestion: str | None, path: Path) -> DataChoice:
    from qsearch.runner.drafted import DataChoice

    name = given or suggestion
    if name is None:
        return DataChoice(factory=f"{_module_beside(path)}:load", template=True)
    return named_data(name, seen)


def _module_beside(path: Path) -> str:
    """A module's name of the file's own."""
    stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    return f"{stem if stem[:1].isalpha() else f'config_{stem}'}_data"


def _template(origin: DataChoice, seen: Survey) -> tuple[str, str] | None:
    from qsearch.runner.drafted import data_template

    if not origin.template:
        return None
    module = str(origin.factory).partition(":")[0]
    return f"{module}.py", data_template(seen, module)


@dataclass(frozen=True)
class _Files:
    """What is written: the configuration, its schema beside it, and the template of a data function."""

    path: Path
    text: str
    template: tuple[str, str] | None
    force: bool


def _write(files: _Files) -> None:
    written = [files.path]
    if files.template is not None:
        name, text = files.template
        beside = files.path.with_name(name)
        if beside.exists() and not files.force:
            say(f"{beside} is there already, and is kept", err=True)
        else:
            _write_text(beside, text)
            written.append(beside)
    schema = files.path.with_name(SCHEMA_FILE)
    _write_text(schema, schema_text())
    written.append(schema)
    _write_text(files.path, files.text)
    say(f"wrote {', '.join(map(str, written))}")


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _next(path: Path, origin: DataChoice) -> None:
    name = "" if path == _DEFAULT else f" {shlex.quote(str(path))}"
    if origin.template:
        say(f"first: write the function {origin.factory}, which gives your data")
    say(f"next:  qsearch check{name}   (what a run would do)")
    say(f"       qsearch run{name}")
