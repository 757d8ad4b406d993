# ruff: noqa: E501 - tables of what is tried
"""Mutated model files, and what becomes of them: `scripts/fuzz_model_files.py`, and a small run of it as a test.

Containers are cut, flipped and rearranged, and every part of a model's configuration is changed: keys, types, sizes,
classes, calls. A file may be read and priced, or end in a ModelError of one line; anything else is a failure, as is
what takes long, takes much memory, or runs what the file names.
"""

from __future__ import annotations

import json
import math
import random
import resource
import struct
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_file_parts import Case, Seed, members_of, seeds, zipped

from qsearch.energy.public import estimate_energy
from qsearch.errors import ModelError, QsearchError
from qsearch.graph.from_keras import read_plan
from qsearch.hardware.verify import verify
from qsearch.models import load_model

SLOW, STUCK = 10.0, 60.0
"""Seconds of the processor, and of the clock, that nothing may take: other processes do not count in the first."""
MUCH = 500
"""Megabytes more than before."""


@dataclass(frozen=True)
class Outcome:
    """What became of it: read, refused, or what is wrong with what qsearch did."""

    kind: str
    told: str
    seconds: float = 0.0
    megabytes: float = 0.0


def cases(seed: int, marker: Path) -> Iterator[Case]:
    """Endless; the same for the same seed. What a file would run writes the marker."""
    chance = random.Random(seed)
    found = seeds()
    while True:
        one = chance.choice(found)
        if chance.random() < 0.2:
            yield _container_mutated(chance, one, found)
            continue
        config, told = one.config, []
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            config, what = _mutated(chance, config, marker)
            told.append(what)
        version = chance.choice((None, None, None, "2.4.0", "3.0.0", "4.0.0", ""))
        try:
            yield Case(f"{one.ending}: {'; '.join(told)}", one.ending, one.with_config(config, version), one.weights)
        except (ValueError, OSError, RecursionError):  # what cannot be written is no file
            continue


_SIZES = (
    0,
    -1,
    1,
    2,
    7,
    10**6,
    2**31,
    2**32,
    2**63,
    10**12,
    10**30,
    10**400,
    0.5,
    1e300,
    math.nan,
    math.inf,
    -math.inf,
)
_TEXTS = ("", "a", "\x1b[31mred", "\x00", "a\nb", "x" * 100_000, "\ud800", "../x", "relu", "float16", "float64", "int8", "string", "float99", "same", "channels_first",
          "[bold]", "ab,bc->ac", "quantized_bits(4,0,1)", "ternary(number_of_unrolls=1000000000)", "(" * 5000, "input", "nan", "__tuple__", "__keras_tensor__", "mixed_float16")  # fmt: skip
_CLASSES = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "Dense", "Functional", "Sequential", "InputLayer", "Nothing", "Layer", "Conv2D", "LSTM", "Add", "__lambda__", "__tensor__",
            "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__typespec__", "function", "Softmax", "StringLookup", "RNN", "TimeDistributed", "Identity", "Dropout", "Wrapper", "Model")  # fmt: skip
_MODULES = ("os", "builtins", "subprocess", "keras.utils", "keras.config", "keras.saving", "keras.src.utils.file_utils", "keras.layers", "keras", "keras.src.models.functional", "", None,
            "qsearch.imports", "numpy", "keras.ops", "keras.src.ops.numpy", "keras.src.legacy.saving.json_utils", "keras.distribution", 5)  # fmt: skip


def _places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(part, dict):
        for key, value in part.items():
            yield from _places(value, (*path, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _places(value, (*path, index))


def _at(part: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        part = part[key]
    return part


def _mutated(chance: random.Random, config: Any, marker: Path) -> tuple[Any, str]:
    config = json.loads(json.dumps(config))
    places = [path for path in _places(config) if path]
    if not places:
        return config, "nothing"
    path = chance.choice(places)
    above, key, value = _at(config, path[:-1]), path[-1], _at(config, path)
    kind = chance.random()
    if kind < 0.1:
        del above[key]
        return config, f"without {path}"
    if kind < 0.16 and isinstance(above, dict):
        above[chance.choice((*_TEXTS[:4], "class_name", "config", "module", "layers", f"{key}s"))] = above.pop(key)
        return config, f"{path} renamed"
    if kind < 0.24:
        other = _at(config, chance.choice(places))
        above[key] = json.loads(json.dumps(other))
        return config, f"{path} is another part"
    if kind < 0.28:
        above[key] = _nested(value, chance.choice((1, 2, 50, 300)), chance.random() < 0.5)
        return config, f"{path} nested"
    if kind < 0.32 and isinstance(value, list):
        above[key] = value * chance.choice((2, 3, 100)) if chance.random() < 0.7 else value[::-1]
        return config, f"{path} repeated"
    if kind < 0.42:
        above[key] = _foreign(chance, marker)
        return config, f"{path} is foreign"
    above[key] = new = _value(chance, key, value)
    return config, f"{path} = {str(new)[:60]!r}"


def _value(chance: random.Random, key: Any, value: Any) -> Any:
    if key == "class_name":
        return chance.choice(_CLASSES)
    if key == "module":
        return chance.choice(_MODULES)
    if isinstance(value, bool):
        return not value if chance.random() < 0.6 else chance.choice(_SIZES)
    if isinstance(value, int | float) and chance.random() < 0.8:
        return chance.choice((*_SIZES, str(value), [value], value + 1, -value))
    if isinstance(value, str) and chance.random() < 0.7:
        return chance.choice((*_TEXTS, value[:-1], value * 2))
    return chance.choice((*_SIZES, *_TEXTS, None, True, [], {}, [None], [[]], [10**6] * 4, [[1, 2], [3]], {"a": 1}))


def _nested(value: Any, depth: int, lists: bool) -> Any:
    for _ in range(depth):
        value = (
            [value]
            if lists
            else {"class_name": "Sequential", "module": "keras", "config": {"name": "n", "layers": [value]}}
        )
    return value


def _foreign(chance: random.Random, marker: Path) -> Any:
    """What would write the marker, were it called."""
    target = str(marker)
    return chance.choice(
        (
            {"module": "os", "class_name": "system", "config": {"command": f"touch {target}"}, "registered_name": None},
            {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"},
            {"module": "pathlib", "class_name": "Path", "config": target, "registered_name": None},
            {
                "module": "keras.utils",
                "class_name": "get_file",
                "config": {"fname": target, "origin": "file:///etc/hostname"},
                "registered_name": None,
            },
            {
                "module": "keras.config",
                "class_name": "enable_unsafe_deserialization",
                "config": {},
                "registered_name": None,
            },
            {
                "module": "keras.saving",
                "class_name": "load_model",
                "config": {"filepath": target},
                "registered_name": None,
            },
            {"class_name": "__lambda__", "config": {"code": "4wAAAAA=", "defaults": None, "closure": None}},
            {
                "module": "keras.layers",
                "class_name": "Lambda",
                "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wAAAAA="}}},
                "registered_name": None,
            },
            {
                "module": "keras.layers",
                "class_name": "TFSMLayer",
                "config": {"filepath": target, "name": "t"},
                "registered_name": None,
            },
            {
                "module": "keras.layers",
                "class_name": "StringLookup",
                "config": {"vocabulary": "/etc/passwd", "name": "s"},
                "registered_name": None,
            },
            {
                "class_name": "StringLookup",
                "config": {"vocabulary": "/etc/passwd", "name": "s"},
                "name": "s",
                "inbound_nodes": [],
            },
            {
                "class_name": "__typespec__",
                "spec_name": "Popen",
                "module": "subprocess",
                "config": [["touch", target]],
                "registered_name": None,
            },
            {"class_name": "__tensor__", "config": {"value": [[1.0]] * 3, "dtype": "float32"}},
            {"class_name": "__numpy__", "config": {"value": [[1.0], [1.0, 2.0]], "dtype": "float32"}},
        )
    )


def _container_mutated(chance: random.Random, seed: Seed, others: list[Seed]) -> Case:
    data, weights = seed.data, seed.weights
    if weights is not None and (chance.random() < 0.5 or not data):
        data = data or json.dumps(seed.config).encode()
        other = chance.choice([one.weights or one.data for one in others if one.weights])
        weights = other if chance.random() < 0.2 else _broken(chance, weights)
        return Case("json: weights", "json", data, weights)
    if seed.ending != "keras" or chance.random() < 0.3:
        return Case(f"{seed.ending}: bytes", seed.ending, _broken(chance, data), weights)
    members = members_of(data)
    name = chance.choice(list(members))
    kind = chance.randrange(7)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[name] = _broken(chance, members[name])
    elif kind == 2:
        other = chance.choice([one for one in others if one.ending == "keras"])
        members[name] = members_of(other.data)[chance.choice(("config.json", "metadata.json", "model.weights.h5"))]
    elif kind == 3:
        odd = (
            "../x",
            "/x",
            "a\\b",
            "\u202ex",
            "x/" * 2000,
            "é",
            "config.json/",
            "\x1b[31m",
            "model.weights.h5/x",
            "C:x",
            "CON",
        )
        members[chance.choice(odd)] = b"x"
    elif kind == 4:
        pairs = [*members.items(), (name, _broken(chance, members[name]))]
        return Case("keras: the same name twice", "keras", zipped(pairs))
    elif kind == 5:
        members["metadata.json"] = chance.choice(
            (b"[]", b"null", b"{", b'{"keras_version": 5}', b'{"keras_version": "2.9"}', b"[" * 100_000)
        )
    else:
        return Case(
            "keras: sizes that lie", "keras", _lying(chance, zipped(list(members.items()), zipfile.ZIP_DEFLATED))
        )
    return Case("keras: members", "keras", zipped(list(members.items())))


def _broken(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.4 or not data:
        return data[: chance.randrange(len(data) + 1)]
    found = bytearray(data)
    for _ in range(chance.choice((1, 4, 30, 500))):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


def _lying(chance: random.Random, data: bytes) -> bytes:
    """An archive whose list of contents has other sizes than what is in it."""
    found = bytearray(data)
    start = 0
    while (start := found.find(b"PK\x01\x02", start)) >= 0:
        if chance.random() < 0.5:
            struct.pack_into(
                "<I", found, start + chance.choice((20, 24)), chance.choice((0, 1, 10**6, 2**31, 2**32 - 1))
            )
        start += 4
    return bytes(found)


def tried(case: Case, folder: Path, marker: Path) -> Outcome:
    """Load it, and price it where it can be read."""
    path = folder / f"m.{case.ending}"
    path.write_bytes(case.data)
    weights = None
    if case.weights is not None:
        weights = folder / "w.weights.h5"
        weights.write_bytes(case.weights)
    before, start, worked = _megabytes(), time.monotonic(), time.process_time()
    try:
        kind, told = _read(path, weights)
    except Exception as error:  # what the fuzzer looks for
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where is not None else ""
        kind, told = "traceback", f"{type(error).__name__} at {place}: {str(error)[:300]}"
    seconds, more = time.monotonic() - start, _megabytes() - before
    worked = time.process_time() - worked
    if marker.exists():
        marker.unlink()
        kind = "code was run"
    elif kind in ("read", "refused") and (worked > SLOW or seconds > STUCK):
        kind = "slow"
    elif kind in ("read", "refused") and more > MUCH:
        kind = "much memory"
    return Outcome(kind, told, seconds, more)


def _read(path: Path, weights: Path | None) -> tuple[str, str]:
    try:
        model = load_model(path, weights=weights)
    except ModelError as error:
        return _refused(str(error))
    try:
        total = estimate_energy(model, reference="int8").total
        if read_plan(model).layers:
            total += estimate_energy(model, reference=None).total
            verify(model)
    except QsearchError as error:
        return _refused(str(error))
    return ("read", "") if math.isfinite(total) else ("not finite", f"it costs {total}")


def _refused(message: str) -> tuple[str, str]:
    if len(message) > 2_500:
        return "long", f"{len(message):,} characters: {message[:200]!r}"
    if not message.isprintable():
        return "not printable", repr(message)[:300]
    return "refused", message


def _megabytes() -> float:
    """The most that this process has taken so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)
