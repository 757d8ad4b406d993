"""A first configuration for a model: what `qsearch init` writes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qsearch.blocks.suggest import suggest
from qsearch.config import LoadedConfig
from qsearch.config.draft import Draft, DraftBlock, DraftHead, DraftTraining, comment, counted, quoted
from qsearch.config.load import check
from qsearch.config.yaml_reader import parse_source
from qsearch.datasets.shapes import DATA_SHAPES
from qsearch.errors import ConfigError, ConfiguredError
from qsearch.report.units import energy
from qsearch.runner.experiment import Experiment, read_experiment
from qsearch.runner.feasible import check_budget, extremes
from qsearch.runner.model_choice import ModelChoice
from qsearch.runner.survey import Survey, SurveyedHead

_DATA_OF_PRESETS = {"resnet8": "cifar10", "digits_resnet": "digits"}
"""Of networks that are not called as their data set is."""


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """Where the data are from: one of the three. `template`: a factory that is yet to be written."""

    name: str | None = None
    npz: str | None = None
    factory: str | None = None
    template: bool = False


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the search is to be like. `budget` and `max_drop` as a file has them."""

    mode: str = "guided"
    trials: int = 20
    budget: str | None = None
    max_drop: str | None = None
    target: str | None = None
    blockwise: bool = False


def suggested_data(model: ModelChoice, seen: Survey) -> str | None:
    """The built-in data set that a model is probably for."""
    named = _DATA_OF_PRESETS.get(str(model.name), model.name)
    return next((name for name in ([named] if named else []) + list(DATA_SHAPES) if suits(name, seen)), None)


def suits(data: str, seen: Survey) -> bool:
    """Whether a built-in data set fits a model."""
    shape = DATA_SHAPES.get(data)
    return shape is not None and shape.suits(seen.inputs, {head.name: head.shape for head in seen.heads})


def drafted(model: ModelChoice, data: DataChoice, seen: Survey, wishes: Wishes, file: str, schema: bool) -> str:
    """The text of a configuration, which was held against the model as a run would do it.

    Args:
        file: what messages call it; modules are looked for beside it.
        schema: whether a JSON Schema will lie beside it.

    Raises:
        ConfigError: wishes that the model cannot fulfil.
        ModelError: a model that cannot be searched.
    """
    draft = Draft(
        title=f"{model.origin}: {seen.parameters:,} parameters.",
        schema=schema,
        model=model.keys(),
        data=_data_keys(data),
        data_notes=_data_notes(data, seen),
        heads=[_head(head, data) for head in seen.heads],
        limits=seen.classes,
        linear=seen.linear,
        training=_training(model, data),
        mode=wishes.mode,
        trials=wishes.trials,
        budget=wishes.budget,
        max_drop=wishes.max_drop,
        target=wishes.target,
    )
    try:
        experiment = read_experiment(_loaded(draft.text(), file))
        check_budget(experiment, experiment.space)
        draft = replace(_with_costs(draft, experiment), blocks=_blocks(experiment), blockwise=wishes.blockwise)
        text = draft.text()
        _loaded(text, file)
    except ConfiguredError as error:
        raise type(error)(_placeless(str(error), file)) from None
    except ConfigError as error:
        raise ConfigError(f"{model.origin}: {_placeless(str(error), file)}") from None
    return text


def _placeless(text: str, file: str) -> str:
    """What is wrong with a file that was not written, without the places in it."""
    return re.sub(rf"^{re.escape(file)}(:\d+:\d+)?: ", "", text, flags=re.MULTILINE)


def _loaded(text: str, file: str) -> LoadedConfig:
    return check(parse_source(text, file))


def _with_costs(draft: Draft, experiment: Experiment) -> Draft:
    """What plans cost, and a budget that some of them keep to."""
    costs = experiment.costs
    reference = costs.reference_energy.total
    found = extremes(experiment, experiment.space)
    if found is None:
        return replace(draft, costs=f"the reference takes {energy(reference)} an inference")
    least = costs.price(experiment.space.plan(found.cheapest)).energy
    told = f"the reference takes {energy(reference)} an inference, the cheapest candidate {energy(least)}"
    between = math.sqrt(least * max(reference, least))
    return replace(draft, costs=told, possible_budget=energy(max(between, 1.0)).replace(" ", ""))


def _blocks(experiment: Experiment) -> list[DraftBlock]:
    searched = [layer.name for layer in experiment.space.layers]
    shares = experiment.shares
    return [
        DraftBlock(
            pattern=block.pattern,
            note=f"{sum(shares.get(name, 0.0) for name in block.layers):.1%} of the cost, {counted(len(block.layers))}",
        )
        for block in suggest(experiment.graph, searched, experiment.indexed)
    ]


def _data_keys(data: DataChoice) -> dict[str, str]:
    given = {"name": data.name, "npz": data.npz, "factory": data.factory}
    keys = {key: quoted(value) for key, value in given.items() if value is not None}
    return {**keys, "validation": "0.2  # held out of the training set; the test set is used once, at the end"}


def _data_notes(data: DataChoice, seen: Survey) -> list[str]:
    """What the data must be like, where they are the user's own; else which others would do too."""
    if data.name is not None:
        others = [name for name in DATA_SHAPES if name != data.name and suits(name, seen)]
        return (
            [f"of these shapes too: {', '.join(others)}; or npz: data.npz, factory: my_module:load"] if others else []
        )
    lines = [] if not data.template else [f"write the function {data.factory} first: its file says what it gives"]
    return [*lines, "what it must give:", *(f"  {line}" for line in needed(seen))]


def needed(seen: Survey) -> list[str]:
    """The arrays that a model is trained with, a line each."""
    several = len(seen.inputs) > 1
    lines = [f"x{f' {name!r}' if several else ''}: (samples, {_sides(shape)})" for name, shape in seen.inputs.items()]
    for head in seen.heads:
        lines.append(f"y{f' {head.name!r}' if len(seen.heads) > 1 else ''}: {_labels(head)}")
    return lines


def _sides(shape: Sequence[int | None]) -> str:
    return ", ".join("any" if side is None else str(side) for side in shape) or "1"


def _labels(head: SurveyedHead) -> str:
    inner = "".join(f", {'any' if side is None else side}" for side in head.shape[:-1])
    if head.answer == "classes":
        return f"(samples{inner}) class numbers 0 to {head.units - 1}"
    if head.answer == "yes_or_no":
        return f"(samples{inner}, {head.units}) of 0 and 1"
    if head.answer == "reconstruction":
        return f"(samples, {_sides(head.shape)}), as x"
    return f"(samples, {_sides(head.shape)}) numbers"


def _head(head: SurveyedHead, data: DataChoice) -> DraftHead:
    if head.answer == "classes":
        return DraftHead(name=head.name, loss="categorical_crossentropy", metric="acc")
    if head.answer == "yes_or_no":
        return DraftHead(name=head.name, loss="binary_crossentropy", metric="binary_accuracy")
    if head.answer == "unbounded" and data.name is not None:
        return DraftHead(name=head.name, loss="categorical_crossentropy", metric="acc", logits=True)
    if head.answer == "reconstruction":
        return DraftHead(name=head.name, loss="mse", metric="mse")
    note = ""
    if head.answer == "unbounded":
        logits = ("binary_crossentropy", "binary_accuracy") if head.units == 1 else ("categorical_crossentropy", "acc")
        note = (
            f"if {head.name} gives logits of classes, and no numbers: {{name: {logits[0]}, from_logits: true}} and "
            f"metrics: [{logits[1]}]"
        )
    return DraftHead(name=head.name, loss="mse", metric="mae", note=note)


_OF_DATA: Mapping[str, tuple[int, int, int, int, float]] = {
    "digits": (30, 10, 60, 64, 0.01),
    "mnist": (10, 5, 20, 512, 0.01),
    "fashion_mnist": (20, 5, 40, 512, 0.01),
    "cifar10": (30, 10, 60, 512, 0.01),
    "cifar100": (60, 20, 100, 512, 0.01),
}
"""Epochs of the reference, of a trial, of the winner; batch size; learning rate."""


def _training(model: ModelChoice, data: DataChoice) -> DraftTraining:
    reference, trial, final, batch_size, rate = _OF_DATA.get(str(data.name), (20, 10, 20, 64, 0.001))
    note = ""
    if model.path is not None:
        rate = 0.001
        if data.name is None:
            reference, note = 0, "0 keeps the weights of the file, more trains them further"
        else:
            note = f"trains the file's weights further: {data.name} comes scaled in qsearch's way; 0 keeps them"
    return DraftTraining(reference=reference, trial=trial, final=final, batch_size=batch_size, rate=rate, note=note)


def data_template(seen: Survey, module: str) -> str:
    """A Python file with the function that gives the data, which a person fills in."""
    lines = [f"    {comment(line)}" for line in needed(seen)]
    x = _written({name: f"x_{place}" for place, name in enumerate(seen.inputs)}, "x")
    y = _written({head.name: f"y_{place}" for place, head in enumerate(seen.heads)}, "y")
    return "\n".join(
        [
            '"""The data that qsearch trains, selects and tests on."""',
            "",
            "",
            "def load():",
            '    """((x, y), (x, y)): training samples with their labels, and test samples with theirs.',
            "",
            *(line.replace("\\", "\\\\").replace('"""', "'''") for line in lines),
            '    """',
            f'    raise NotImplementedError("write the function load in {module}.py; it gives training and test data")',
            "    # For example, with arrays that numpy.save wrote:",
            "    #",
            "    #     import numpy",
            "    #",
            f"    #     train = {x}, {y}",
            "    #     ...",
            "    #     return train, test",
            "",
        ]
    )


def _written(names: Mapping[str, str], what: str) -> str:
    if len(names) == 1:
        return f'numpy.load("{what}_train.npy")'
    inside = ", ".join(f'{_python(name)}: numpy.load("{file}_train.npy")' for name, file in names.items())
    return f"{{{inside}}}"


def _python(text: Any) -> str:
    return comment(repr(text))
