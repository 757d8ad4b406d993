"""Can another process go on with a training to the same bits? Only if everything that changes in it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.auto_control_deps_utils import get_read_only_resource_input_indices_graph as read_only

from qsearch.datasets import Dataset
from qsearch.datasets.augment import Moves
from qsearch.datasets.dataset import Split
from qsearch.training.augmentation import Augmentation, OwnStep
from qsearch.training.seeds import streams_of

_DRAWING = (
    "Random",
    "TruncatedNormal",
    "ParameterizedTruncatedNormal",
    "Multinomial",
    "FractionalMax",
    "FractionalAvg",
)
"""Operations of TensorFlow, by their beginnings, whose random numbers go on from a state that nobody can read."""
_PYTHON = ("PyFunc", "EagerPyFunc")
"""Operations that call Python, which may remember anything."""


def batches_repeat(data: Dataset, augment: Augmentation | None) -> bool:
    """Whether the seed and the number of an epoch decide its batches.

    What is not in memory comes in an order of its own. A function of the user's own that changes samples may keep
    random numbers of its own, unless it takes those that it is given.
    """
    if not isinstance(data.train, Split) or not isinstance(data.selection, Split):
        return False
    steps = () if augment is None else augment.steps
    return all(isinstance(step, Moves) or (isinstance(step, OwnStep) and step.taken == 3) for step in steps)


def steps_repeat(model: keras.Model) -> bool:
    """Whether steps of a model that was trained change only what is known: its variables, and those of its training.

    Layers, losses and training steps of the user's own may write to variables that nobody else knows, and draw random
    numbers from a state of TensorFlow's. Both are seen in what was traced.
    """
    known = {id(variable.value) for variable in model.variables}
    known |= {id(variable.value) for variable in model.optimizer.variables}
    known |= {id(variable.value) for metric in model.metrics for variable in metric.variables}
    known |= {id(stream.variable) for _, stream in streams_of(model)}
    trained = list(_graphs(model.train_function))
    graphs = [*trained, *_graphs(model.test_function)]
    return bool(trained) and all(_written(graph) <= known and not _draws(graph) for graph in graphs)


def _graphs(function: Any) -> Iterator[Any]:
    """What was traced of a step, which Keras holds in the function that it calls."""
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    for one in (function, *cells):
        if isinstance(one, tf.types.experimental.PolymorphicFunction):
            yield from (traced.graph for traced in one._list_all_concrete_functions())


def _written(graph: Any) -> set[int]:
    """Variables that it may write to."""
    inside = {id(outer): id(inner) for outer, inner in graph.captures}
    only_read = {id(graph.inputs[index]) for index in read_only(graph)}
    return {id(variable) for variable in graph.variables if inside.get(id(variable.handle)) not in only_read}


def _draws(graph: Any) -> bool:
    whole = graph.as_graph_def()
    nodes = [whole.node, *(function.node_def for function in whole.library.function)]
    return any(node.op in _PYTHON or node.op.startswith(_DRAWING) for part in nodes for node in part)
