"""What trials that failed have in common, so that a person finds the cause without reading the journal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from qsearch.quantizers.spec import QuantizerSpec
from qsearch.search.space import LEARNING_RATE, Choice, SearchSpace, number
from qsearch.search.trials import FailedTrial

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_LAYER = re.compile(r"\blayer '?([\w/.-]+)")
_NODE = re.compile(r"\bnode [\w.-]+/([\w/.-]+)/")
_MOST = 3
"""Shared values that are told."""
_FEWEST, _CHANCE = 3, 0.1
"""Fewer trials, or values that they share by chance as often as this, show nothing."""

_FIXES: Mapping[str, str] = {
    r"training diverged": (
        "lower reference.optimizer.learning_rate, which trials train with too, or give the optimizer clipnorm: 1.0"
    ),
    r"\bOOM\b|ResourceExhausted|MemoryError|[Uu]nable to allocate|out of memory": (
        "it is too little memory: lower run.batch_size, or the widths that are searched"
    ),
}
"""By what a reason says, what often helps."""


def in_common(failed: Sequence[FailedTrial], space: SearchSpace) -> str:
    """In one line: why they failed, how many of them for the same reason, in which layer, with which values.

    Args:
        space: where the trials are from; what it leaves no choice of, all trials have in common.
    """
    count = len(failed)
    if not count:
        return "no trial failed"
    reasons = Counter(_NUMBER.sub("#", trial.reason) for trial in failed)
    commonest, times = reasons.most_common(1)[0]
    reason = next(trial.reason for trial in failed if _NUMBER.sub("#", trial.reason) == commonest)
    if count == 1:
        parts = [reason]
    elif times == 1:
        parts = [f"{count} reasons, the last: {failed[-1].reason}"]
    else:
        parts = [f"{_of(times, count)} for the same reason: {reason}"]
    alike = [trial for trial in failed if _NUMBER.sub("#", trial.reason) == commonest] if times > 1 else failed
    if count > 1:
        names = [layer.name for layer in space.layers]
        layers = {_layer(trial.reason, names) for trial in failed}
        if len(layers) == 1 and (layer := layers.pop()) and (times == 1 or layer not in reason):
            parts.append(f"all in layer {layer}")
        shared = list(_shared(alike, space))[:_MOST]
        if shared:
            parts.append(f"all of these have {', '.join(shared)}" if len(alike) < count else f"all have {_and(shared)}")
    parts += [fix for pattern, fix in _FIXES.items() if re.search(pattern, reason)]
    return "; ".join(parts)


def _of(times: int, count: int) -> str:
    return f"all {count}" if times == count else f"{times} of {count}"


def _and(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _layer(reason: str, names: Sequence[str]) -> str:
    """The layer that a reason tells of; in a graph, Keras numbers layers of the same name."""
    if (match := _LAYER.search(reason)) is not None:
        return match[1]
    if (match := _NODE.search(reason)) is None:
        return ""
    known = (name for name in names if match[1] == name or match[1].startswith(f"{name}_"))
    return max(known, key=len, default=match[1])


def _shared(failed: Sequence[FailedTrial], space: SearchSpace) -> Iterator[str]:
    """Values that all of them have, and others may have: first those that are the least likely by chance."""
    if len(failed) < _FEWEST:
        return
    widths = {layer.filters_dimension for layer in space.layers}
    shared: list[tuple[float, str]] = []
    for dimension in space.dimensions:
        name, options = dimension.name, dimension.options
        values = [trial.values[name] for trial in failed if name in trial.values]
        if len(values) < len(failed) or len(options) < 2:
            continue
        kinds: list[tuple[str, Callable[[Choice], str]]] = [("", str)]
        if name in widths or name == LEARNING_RATE:
            kinds.append(("", _side if name in widths else _high))
        else:
            kinds.append(("one of the family ", _family))
        for word, kind in kinds:
            if len({kind(value) for value in values}) == 1:
                told = kind(values[0])
                chance = sum(kind(option) == told for option in options) / len(options)
                if chance ** (len(values) - 1) <= _CHANCE:
                    shared.append((chance ** (len(values) - 1), f"{name} = {word}{told}"))
                break
    yield from (text for _, text in sorted(shared, key=lambda pair: pair[0]))


def _family(value: Choice) -> str:
    """The quantizer without its arguments."""
    return value.name if isinstance(value, QuantizerSpec) else str(value)


def _side(value: Choice) -> str:
    factor = number(value)
    return "wider than the reference" if factor > 1 else "narrower than the reference" if factor < 1 else "1.0"


def _high(step: Choice) -> str:
    rate = number(step)
    return "of the higher rates" if rate > 2 else "of the lower rates" if rate < 2 else "2"
