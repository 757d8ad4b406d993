"""Streams as Keras' `fit` and `evaluate` take them: labels, weights and names as the model has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from qsearch.datasets.dataset import Array, Split
from qsearch.datasets.fitting import Fitting, Parts, arrays_of, cut, parts_of, single, stacked
from qsearch.datasets.inspection import Inspected, at_batch, checked, element_parts
from qsearch.datasets.labels import Change
from qsearch.datasets.streams import SequenceStream, Stream, TensorStream, Window, read
from qsearch.datasets.trouble import Trouble, noted
from qsearch.errors import DatasetError, told

_ENDED = object()
"""Instead of an element that is not there."""


def packed(split: Split) -> tuple[Any, ...]:
    """(x, y), or (x, y, sample_weight)."""
    return (split.x, split.y) if split.weights is None else (split.x, split.y, split.weights)


def python_feed(stream: Stream, inspected: Inspected, batch_size: int, steps: int, what: str, trouble: Trouble) -> Any:
    """A tf.data.Dataset that reads a Python iterable, as Keras makes one of a generator.

    Args:
        trouble: where errors that occur in reading are put.
    """
    import keras
    import tensorflow

    example = packed(inspected.fitting.split(inspected.example))
    kinds = keras.tree.map_structure(lambda array: array.dtype, example)

    def batches() -> Iterator[Any]:
        given = 0
        with noted(trouble):
            for batch in _python_batches(stream, inspected, batch_size, what):
                yield keras.tree.map_structure(lambda array, kind: array.astype(kind, copy=False), batch, kinds)
                given += 1
            if given < steps:
                raise _shorter(stream, what, steps, given)

    signature = keras.tree.map_structure(
        lambda array: tensorflow.TensorSpec((None, *_open(array.shape[1:], inspected.fitting)), array.dtype), example
    )
    dataset = tensorflow.data.Dataset.from_generator(batches, output_signature=signature)
    return _finished(dataset, steps)


def _shorter(stream: Stream, what: str, steps: int, given: int) -> DatasetError:
    return DatasetError(f"{what}: {stream.kind} that gave {steps} batches at first, and {given} this time")


def _python_batches(stream: Stream, inspected: Inspected, batch_size: int, what: str) -> Iterator[Any]:
    layout, window = inspected.fitting.layout, inspected.window
    total = None if window.stop is None else window.stop - window.start
    waiting: list[Parts] = []

    def together(samples: list[Parts]) -> tuple[Any, ...]:
        return packed(inspected.fitting.split(checked(inspected, arrays_of(stacked(samples, what), what), what)))

    for number, element in enumerate(read(stream, window, what), 1):
        parts = element_parts(layout, element, what)
        if inspected.batched:
            with at_batch(window.start + number - 1):
                arrays = checked(inspected, arrays_of(parts, what), what)
            last = window.last if number == total else None
            yield packed(inspected.fitting.split(arrays if last is None else cut(arrays, last)))
            continue
        waiting.append(parts)
        if len(waiting) == batch_size:
            yield together(waiting)
            waiting = []
    if waiting:
        yield together(waiting)


def _open(shape: tuple[int, ...], fitting: Fitting) -> tuple[int | None, ...]:
    """Axes that may differ from batch to batch are left open where the model leaves any open."""
    layout = fitting.layout
    shapes = [*layout.inputs.values(), *(head.shape for head in layout.heads if head.labels != "own")]
    if all(side is not None for wanted in shapes for side in wanted):
        return shape
    return tuple(side if number == len(shape) - 1 and side > 1 else None for number, side in enumerate(shape))


def sequence_feed(
    stream: SequenceStream, inspected: Inspected, batch_size: int, steps: int, what: str, trouble: Trouble
) -> Any:
    """A keras.utils.PyDataset around the given one: its workers and what it does after an epoch stay."""
    if not inspected.batched:
        return python_feed(stream, inspected, batch_size, steps, what, trouble)
    import keras

    inner = stream.sequence
    window, fitting = inspected.window, inspected.fitting

    class Fed(keras.utils.PyDataset):  # type: ignore[misc]
        @property
        def num_batches(self) -> int:
            return steps

        def __getitem__(self, index: int) -> Any:
            with noted(trouble):
                element = next(read(stream, Window(window.start + index, window.start + index + 1), what), _ENDED)
                if element is _ENDED:
                    raise _shorter(stream, what, steps, index)
                with at_batch(window.start + index):
                    parts = element_parts(fitting.layout, element, what)
                    arrays = checked(inspected, arrays_of(parts, what), what)
                if window.last is not None and index == steps - 1:
                    arrays = cut(arrays, window.last)
                return packed(fitting.split(arrays))

        def on_epoch_begin(self) -> None:
            self._call(inner.on_epoch_begin)

        def on_epoch_end(self) -> None:
            self._call(inner.on_epoch_end)

        def _call(self, method: Callable[[], None]) -> None:
            try:
                method()
            except (Exception, SystemExit) as error:  # the user's own code
                raise DatasetError(f"{what}: {stream.kind}: {method.__name__} failed with {told(error)}") from None

    return Fed(
        workers=inner.workers, use_multiprocessing=inner.use_multiprocessing, max_queue_size=inner.max_queue_size
    )


def tensor_feed(stream: TensorStream, inspected: Inspected, batch_size: int, steps: int) -> Any:
    """The tf.data.Dataset with its elements as the model takes them."""
    import tensorflow

    window, fitting = inspected.window, inspected.fitting
    dataset = stream.dataset.skip(window.start) if window.start else stream.dataset
    if window.stop is not None:
        dataset = dataset.take(window.stop - window.start)
    if window.last is not None:
        final, rows = steps - 1, window.last

        def shorter(number: Any, element: Any) -> Any:
            most = tensorflow.where(number == final, rows, tensorflow.int32.max)
            return tensorflow.nest.map_structure(lambda tensor: tensor[:most], element)

        dataset = dataset.enumerate().map(lambda number, *element: shorter(number, _one(element)))
    if not inspected.batched:
        dataset = dataset.batch(batch_size)
    change = tensor_change(fitting, inspected.example)
    return _finished(dataset.map(lambda *element: change(_one(element))), steps)


def _one(element: tuple[Any, ...]) -> Any:
    """tf.data unpacks a tuple into arguments."""
    return element[0] if len(element) == 1 else element


def tensor_change(fitting: Fitting, example: Parts) -> Callable[[Any], Any]:
    """What makes elements of a tf.data.Dataset those that the model takes."""
    import tensorflow

    def changed(name: str, change: Change, given: Any, like: Array) -> Any:
        # shapes may be unknown to tf.data, never their number of axes
        tensor = change.reshaped(tensorflow.ensure_shape(given, [None] * like.ndim))
        if change.classes is not None:
            return tensorflow.one_hot(tensorflow.cast(tensor, tensorflow.int64), change.classes)
        if change.floats or tensor.dtype in (tensorflow.float64, tensorflow.float16):
            return tensorflow.cast(tensor, tensorflow.float32)
        return tensor

    def change(element: Any) -> Any:
        parts = parts_of(fitting.layout, element, "")
        x = {name: changed(name, how, parts.inputs[name], example.inputs[name]) for name, how in fitting.inputs.items()}
        x = {name: tensorflow.ensure_shape(x[name], (None, *shape)) for name, shape in fitting.layout.inputs.items()}
        y = {name: changed(name, how, parts.labels[name], example.labels[name]) for name, how in fitting.labels.items()}
        if parts.weights is None:
            return single(x), single(y)
        like = example.weights or {}
        w = {name: changed(name, how, parts.weights[name], like[name]) for name, how in fitting.weights.items()}
        count = tensorflow.shape(next(iter(x.values())))[:1]
        w = {name: w[name] if name in w else tensorflow.ones(count) for name in fitting.layout.head_names}
        return single(x), fitting.packed(y), fitting.packed(w)

    return change


def _finished(dataset: Any, steps: int) -> Any:
    """With a known length, so that Keras need not find it, and one batch made ahead."""
    import tensorflow

    options = tensorflow.data.Options()
    options.experimental_distribute.auto_shard_policy = tensorflow.data.experimental.AutoShardPolicy.DATA
    return dataset.apply(tensorflow.data.experimental.assert_cardinality(steps)).with_options(options).prefetch(1)
