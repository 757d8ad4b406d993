"""Mutated `--what-if` and `--source` options, and what becomes of them. No TensorFlow."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from config_fuzz import GRAPH, SLOW, TEXTS, Outcome
from quantizer_fuzz import quantizer_text

from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.energy.process import process_named
from qsearch.energy.what_if import with_changes
from qsearch.errors import ConfigError, ModelError
from qsearch.plan import NO_QUANTIZERS, Role
from qsearch.quantizers.formats import source_format

_LAYERS = ("conv2d_0", "act_0", "dense", "input", "conv2d_9", "", " conv2d_1 ", "a.b", "conv2d_0:1")
_PARTS = (*(role.value for role in Role), "filters", "kernels", "")


@dataclass(frozen=True)
class Options:
    """What `qsearch energy` is given."""

    changes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def option_cases(seed: int) -> Iterator[Options]:
    """Endless; the same for the same seed."""
    chance = random.Random(seed)
    while True:
        if chance.random() < 0.3:
            yield Options(sources=tuple(_source(chance) for _ in range(chance.choice((1, 1, 1, 2)))))
        else:
            yield Options(changes=tuple(_change(chance) for _ in range(chance.choice((1, 1, 2)))))


def tried_options(options: Options) -> Outcome:
    """Price them as the command does."""
    start = time.monotonic()
    try:
        sources = tuple(source_format(text) for text in options.sources) or None
        settings = EnergySettings(
            process=process_named("horowitz"), weights_on_memory="sram", activations_on_memory="sram", sources=sources
        )
        total = price_plan(*with_changes(GRAPH, NO_QUANTIZERS, options.changes), settings).total
        outcome = Outcome("right") if math.isfinite(total) else Outcome("not finite", f"costs {total}")
    except (ConfigError, ModelError) as error:
        told = str(error)
        outcome = Outcome("refused", told)
        if any(not one.isprintable() for one in told):
            outcome = Outcome("not printable", repr(told)[:300])
        elif len(told) > 2_500:
            outcome = Outcome("long", told[:300])
    except Exception as error:  # what the fuzzer looks for
        return Outcome("traceback", f"{type(error).__name__}: {str(error)[:300]}")
    if time.monotonic() - start > SLOW:
        return Outcome("slow", f"{time.monotonic() - start:.1f} s")
    return outcome


def _source(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.1:
        return chance.choice(("int8", "fp16", "fp32", "int4", "INT8"))
    return chance.choice(TEXTS) if kind < 0.3 else quantizer_text(chance)


def _change(chance: random.Random) -> str:
    layer = chance.choice(_LAYERS[:3] if chance.random() < 0.8 else (*_LAYERS, *TEXTS))
    part = chance.choice(_PARTS if chance.random() < 0.9 else TEXTS)
    if part == "filters":
        value = chance.choice(("1", "6", "0", "-1", "999999", "1e3", "\u0664", *TEXTS))
    else:
        value = quantizer_text(chance) if chance.random() < 0.8 else chance.choice(TEXTS)
    return chance.choice(("{}.{}={}",) * 8 + ("{}{}={}", "{}.{}{}", "{}.{}=={}")).format(layer, part, value)
