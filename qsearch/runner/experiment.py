"""Everything about a run that is known before anything is trained: model, costs, search space."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from qsearch.config import LoadedConfig
from qsearch.errors import ModelError
from qsearch.goal import CostReport
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import ModelGraph
from qsearch.graph.walk import layers_by_path
from qsearch.models import build_model, load_model
from qsearch.runner.costs import Costs, costs_of
from qsearch.search.limits import indexed_layers, search_space
from qsearch.search.oracle import spread
from qsearch.search.space import SearchSpace

REFERENCE_SEED, FINAL_SEED, TRIAL_SEED, SEARCH_SEED = range(4)
"""What the user's seed is spread over, so that one part's draws never shift another's."""


@dataclass(frozen=True)
class Experiment:
    """A configuration applied to its model.

    Attributes:
        model: the reference, not yet trained unless it came from a file.
        indexed: names of the layers that `layer_indexes` admits.
        reference: its cost in the goal's unit, per layer.
    """

    loaded: LoadedConfig
    model: keras.Model
    graph: ModelGraph
    indexed: tuple[str, ...]
    costs: Costs
    reference: CostReport
    space: SearchSpace

    @property
    def stress(self) -> float:
        return self.loaded.config.goal.params.stress


def read_experiment(loaded: LoadedConfig) -> Experiment:
    """Build or load the model, price it, and lay out the search space.

    Raises:
        ConfigError: limits, indexes or patterns that do not fit the model.
        ModelError: the model cannot be built, loaded or priced.
    """
    config = loaded.config
    keras.utils.set_random_seed(spread(config.run.seed, REFERENCE_SEED))
    if config.model.path is not None:
        try:
            model = load_model(config.model.path)
        except ModelError as error:
            raise ModelError(str(loaded.error(("model", "path"), str(error)))) from None
    else:
        model = build_model(str(config.model.name), **config.model.options())
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"{model.name}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
            "this version searches models with one of each"
        )
    graph = read_model(model)
    layers = list(layers_by_path(model))
    costs = costs_of(config.goal, graph)
    return Experiment(
        loaded,
        model,
        graph,
        indexed_layers(graph.name, layers, loaded),
        costs,
        costs.reference,
        search_space(graph, layers, loaded),
    )
