"""`qsearch verify MODEL`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli.arguments import MODEL_FILE
from qsearch.cli.json_output import JSON, problem, say_document
from qsearch.cli.model_file import ModelFileOptions, model_file_options
from qsearch.cli.output import add_row, say, show, table_of
from qsearch.cli.tables import format_option
from qsearch.errors import LONGEST_LINE, OutputError, VerificationError
from qsearch.exit_codes import ExitCode
from qsearch.files import writable, written_whole
from qsearch.paths import expanded
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.hardware.verify import Checked


@click.command()
@click.argument("model", type=MODEL_FILE)
@click.option("--stored", is_flag=True, help="Also fail where the file holds trained floats instead of levels.")
@click.option("--weights", type=click.Path(), help="Write values, integer codes and scales to this .npz file.")
@click.option("--write", type=click.Path(), help="Write a copy of the model whose stored weights are levels.")
@click.option("--against", metavar="FOLDER", help="Compare what `qsearch export` wrote there with MODEL, bit for bit.")
@model_file_options
@format_option(("table", "json"))
def verify(
    model: str,
    stored: bool,
    weights: str | None,
    write: str | None,
    against: str | None,
    output: str,
    **loading: Any,
) -> int:
    """Check that every weight of MODEL, a .keras, .h5 or .json file, is on its quantizer's grid.

    A trained model holds floats, which its layers quantize in every call: the values that they compute with are
    checked. Exit code 7 when a weight is off its grid, 9 when an exported folder differs.
    """
    with quiet_start():
        from qsearch.hardware.verify import on_grid
        from qsearch.hardware.verify import verify as check
        from qsearch.hardware.weights import arrays, quantized_weights

    weights_file = None if weights is None else _writing(weights, ".npz")
    model_file = None if write is None else _writing(write, ".keras")
    loaded = ModelFileOptions(**loading).load(model)
    if against is not None:
        _against(loaded, against, output)
        return ExitCode.DONE
    parts = check(loaded)
    error = _problem(parts, stored)
    _print(model, parts, error, output)
    if weights_file is not None:
        import numpy

        with written_whole(weights_file) as aside:
            numpy.savez_compressed(aside, **arrays(quantized_weights(loaded)))  # type: ignore[arg-type]
        say(f"codes and scales in {weights_file}", err=True)
    if model_file is not None:
        copy, kept = on_grid(loaded)
        with written_whole(model_file) as aside:
            copy.save(aside)
        for name, reason in kept.items():
            say(f"note: {name} keeps its trained floats: {reason}", err=True)
        say(f"model with stored levels in {model_file}", err=True)
    if error is None:
        return ExitCode.DONE
    if output != JSON:
        raise error
    say(f"error: {error}", err=True, length=LONGEST_LINE)  # its document is printed already
    return error.exit_code


def _against(model: Any, folder: str, output: str) -> None:
    from qsearch.cli.export import compared, tell
    from qsearch.hardware.public import verify_export

    found = verify_export(model, folder)
    if output == JSON:
        say_document("export", **compared(found))
    else:
        tell(found)


def _problem(parts: tuple[Checked, ...], stored: bool) -> VerificationError | None:
    from qsearch.hardware.verify import State

    failing = {State.OFF, State.TRAINED} if stored else {State.OFF}
    bad = [item for item in parts if item.state in failing]
    if not bad:
        return None
    first = bad[0]
    what = first.problem or "is stored as trained float; see --write"
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    return VerificationError(f"{first.layer}/{first.weight}: {what}{more}")


def _print(model: str, parts: tuple[Checked, ...], error: VerificationError | None, output: str) -> None:
    rows = [
        {
            "layer": item.layer,
            "weight": item.weight,
            "quantizer": item.quantizer,
            "bits": item.bits,
            "shape": list(item.shape),
            "values": item.levels,
            "state": item.state.value,
            "problem": item.problem,
        }
        for item in parts
    ]
    if output == JSON:
        said = None if error is None else problem(error.exit_code, str(error))
        say_document("verify", model=model, weights=rows, error=said)
        return
    table = table_of(("layer", "weight", "quantizer", "bits", "values", "state"))
    for row in rows:
        state = row["problem"] or row["state"]
        shown = (row["layer"], row["weight"], row["quantizer"] or "-", row["bits"], row["values"], state)
        add_row(table, map(str, shown))
    show(table)


def _writing(name: str, ending: str) -> Path:
    """The path, after it has been seen that it can be written."""
    path = expanded(name)
    if path.suffix != ending:
        raise OutputError(f"{path}: ends in {path.suffix or 'nothing'!r}, expected {ending}")
    writable(path)
    return path
