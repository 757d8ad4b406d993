"""Everything about a run that is known before anything is trained: model, costs, search space."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy

from qsearch.blocks.schedule import Schedule, blockwise, whole
from qsearch.blocks.table import BlockTable, block_table
from qsearch.config import LoadedConfig
from qsearch.config.goals import BitsGoalConfig, EnergyParams
from qsearch.config.remarks import remarks as config_remarks
from qsearch.energy.counts import estimated_macs, is_priced
from qsearch.errors import ConfigError, ModelError, shown
from qsearch.errors import told as told_of
from qsearch.goal import CostReport
from qsearch.goal.pricer import Costs, costs_of
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.model_graph import ModelGraph
from qsearch.graph.walk import layers_by_path
from qsearch.imports import look_in
from qsearch.models import build_custom, build_model, custom_objects_in, import_objects, load_model
from qsearch.plan import NO_QUANTIZERS, QuantizationPlan
from qsearch.quantize.copy_check import check_copies
from qsearch.quantize.fold import foldable_paths
from qsearch.runner.exportable import exportable
from qsearch.runner.placed import placed
from qsearch.search.limits import indexed_layers, search_space
from qsearch.search.seeds import REFERENCE_SEED, spread
from qsearch.search.space import SearchSpace
from qsearch.search.suited import check_suited
from qsearch.search.unsearched import told


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A configuration applied to its model.

    Attributes:
        model: the reference, not yet trained unless it came from a file.
        custom_objects: classes and functions of the user's own, by name.
        indexed: names of the layers that `layer_indexes` admits, and of the raw operations that are searched.
        reference: its cost in the goal's unit, per layer.
        remarks: what is allowed, and probably not what was meant.
    """

    loaded: LoadedConfig
    model: keras.Model
    custom_objects: Mapping[str, Any]
    graph: ModelGraph
    indexed: tuple[str, ...]
    costs: Costs
    reference: CostReport
    space: SearchSpace
    remarks: tuple[str, ...] = ()

    @property
    def layer_costs(self) -> dict[str, float]:
        """What each layer adds to the reference's cost, all its calls together."""
        layers = {node.name: node.layer for node in self.graph.nodes}
        costs: dict[str, float] = {}
        for name, cost in self.reference.layers.items():
            layer = layers.get(name, name)
            costs[layer] = costs.get(layer, 0.0) + cost.total
        return costs

    @property
    def shares(self) -> dict[str, float]:
        """The part of the reference's cost that each layer has."""
        total = self.reference.total
        return {name: cost / total if total else 0.0 for name, cost in self.layer_costs.items()}

    @property
    def unsearched(self) -> list[str]:
        """What the search leaves out and why, and what has no price, a line each."""
        lines = told(self.space, self.shares)
        share = self.costs.reference_energy.priced_share
        if share < 1:
            names = [node.layer for node in self.graph.nodes if not is_priced(node) and estimated_macs(node)]
            lines.append(
                f"{1 - share:.1%} of the multiply-accumulates have no price: {', '.join(dict.fromkeys(names))}; "
                "savings are of the rest"
            )
        return lines

    @property
    def stress(self) -> float:
        return self.loaded.config.goal.params.stress


def read_experiment(loaded: LoadedConfig, allow_code: bool = False) -> Experiment:
    """Build or load the model, price it, and lay out the search space.

    Args:
        allow_code: whether Lambda layers of a model file are loaded, which run code from the file.

    Raises:
        ConfigError: limits, indexes or patterns that do not fit the model.
        ModelError: the model cannot be built, loaded, priced or copied.
    """
    with placed(loaded):
        return _read(loaded, allow_code)


def _read(loaded: LoadedConfig, allow_code: bool) -> Experiment:
    config = loaded.config
    look_in(Path(loaded.source.name).parent)
    keras.utils.set_random_seed(spread(config.run.seed, REFERENCE_SEED))
    model, own = _model(loaded, allow_code)
    graph = read_model(model)
    layers = list(layers_by_path(model))
    base = read_plan(model)
    costs = _costs(loaded, graph, base)
    folds = foldable_paths(model)[0] if config.run.fold_batch_norm else {}
    space = search_space(graph, layers, loaded, base, folds)
    remarks = [*config_remarks(loaded), *check_suited(loaded, graph, space)]
    check_copies(model, _first_plan(space), own)
    space, lines = exportable(loaded, model, graph, space)
    remarks += lines
    return Experiment(
        loaded=loaded,
        model=model,
        custom_objects=own,
        graph=graph,
        indexed=_named(indexed_layers(graph.name, layers, loaded), space),
        costs=costs,
        reference=costs.reference,
        space=space,
        remarks=tuple(remarks),
    )


def _costs(loaded: LoadedConfig, graph: ModelGraph, base: QuantizationPlan) -> Costs:
    """What plans cost, where the reference costs anything."""
    goal = loaded.config.goal
    costs = costs_of(goal, graph, base, loaded.config.run.budget.further)
    try:
        total = costs.reference.total
        costs.energy(NO_QUANTIZERS)  # trials read their inputs in another way
    except ConfigError as error:
        raise loaded.error(("goal", "params", "source_quantizers"), _without_key(error)) from None
    if total <= 1:  # a cost below 1 counts as 1
        own = isinstance(goal.params, EnergyParams) and goal.params.own_process is not None
        key = "own_process" if own else "config" if isinstance(goal, BitsGoalConfig) else "process"
        raise loaded.error(
            ("goal", "params", key),
            f"the reference costs {total:g} {costs.unit} with it, and less than 1 counts as 1, so that no plan could "
            "save anything",
        )
    return costs


def _without_key(error: ConfigError) -> str:
    return str(error).removeprefix("source_quantizers: ")


def _named(indexed: tuple[str, ...], space: SearchSpace) -> tuple[str, ...]:
    """Those layers, and the raw operations that are searched, which have no index in Keras."""
    return (*indexed, *(layer.name for layer in space.layers if layer.name not in indexed))


def _first_plan(space: SearchSpace) -> QuantizationPlan:
    """Every searched layer with the first of its options, and its own width."""
    return space.plan({one.name: 1.0 if one.name in space.widths else one.options[0] for one in space.dimensions})


def table_of(experiment: Experiment) -> BlockTable:
    """The blocks of `run.blocks`.

    Raises:
        ConfigError: there are none, or patterns that match nothing.
    """
    stressed = experiment.reference.total * experiment.stress
    return block_table(experiment.loaded, experiment.indexed, experiment.space, experiment.layer_costs, stressed)


def schedule_of(experiment: Experiment) -> Schedule:
    """What is searched, in which order.

    Raises:
        ConfigError: blocks that do not fit the model.
    """
    run = experiment.loaded.config.run
    if not run.blocks:
        return whole(experiment.space, run.extent)
    return blockwise(experiment.loaded, experiment.graph, experiment.space, table_of(experiment))


_LONGEST_NAME = 500
_SCOPE = re.compile(r"[A-Za-z0-9_.\\/>-]+")
"""What TensorFlow takes as the name of a scope, which each layer opens when it is trained."""


def _check_names(model: keras.Model, origin: str) -> None:
    for kind, named in (("model", model), *(("layer", layer) for layer in model._flatten_layers(include_self=False))):
        if not _SCOPE.fullmatch(named.name):
            raise ModelError(
                f"{origin}: the {kind} {shown(named.name)} cannot be trained by that name; TensorFlow takes letters "
                "without accents, digits and _ . > -"
            )
        if len(named.name) > _LONGEST_NAME:  # every node of a graph is named by it
            raise ModelError(
                f"{origin}: the {kind} {shown(named.name)} has a name of {len(named.name):,} characters, at most "
                f"{_LONGEST_NAME} are taken"
            )


def _check_finite(model: keras.Model, origin: str) -> None:
    """Training starts from the weights that are given, and never comes back from NaN."""
    try:
        variables = model.weights
    except Exception as error:  # of a property of the user's
        raise ModelError(f"{origin}: its weights cannot be had ({told_of(error)})") from None
    for variable in variables:
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        if not numpy.isfinite(numpy.asarray(variable, "float64")).all():
            raise ModelError(
                f"{origin}: the weights {shown(variable.path)} hold numbers that are not finite (NaN or infinite); "
                "train the model again"
            )


def _model(loaded: LoadedConfig, allow_code: bool) -> tuple[keras.Model, dict[str, Any]]:
    """The model, and the user's own classes in it."""
    config = loaded.config.model
    if config.name is not None:
        return build_model(config.name, **config.options()), {}
    own = import_objects(config.custom_objects)
    if config.path is not None:
        model = load_model(config.path, allow_code, custom_objects=own, weights=config.weights)
    else:
        model = build_custom(str(config.factory), config.arguments or {})
    _check_names(model, str(config.path or config.factory))
    _check_finite(model, str(config.path or config.factory))
    return model, {**custom_objects_in(model), **own}
