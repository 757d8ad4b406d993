# ruff: noqa: E501 - tables of what is tried
"""Mutated configurations, and what becomes of them: `scripts/fuzz_configs.py`, and a small run of it as a test.

What is mutated are the shipped files, and every key that the schema has, so that a new key is fuzzed by itself. A
configuration may be right, or end in a ConfigError whose every line begins with a place; anything else is a failure.
No TensorFlow.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from quantizer_fuzz import quantizer_text

from qsearch.blocks.schedule import blockwise
from qsearch.blocks.table import block_table
from qsearch.config import Config, LoadedConfig, load_config, to_yaml
from qsearch.config.remarks import remarks
from qsearch.errors import ConfigError
from qsearch.functions import Function
from qsearch.goal.pricer import costs_of
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.search.limits import search_space
from qsearch.search.suited import check_suited

CONFIGS = sorted((Path(__file__).resolve().parents[1] / "configs").glob("*.yaml"))
SLOW = 10.0
"""Seconds that nothing may take."""

TEXTS = (
    "", " ", "a", "None", "null", "~", "~/x", ".", "..", "/", "%s", "%(x)s", "{}", "{0}", "a #1", "2024-11-25", "1:30",
    "0x10", "010", "1e-5", ".inf", "-.inf", ".nan", "-1", "0", "1", "2", "1.5", "1e400", "9" * 30, "9" * 5000, "true",
    "on", "auto", "²", "٣", "é", "日本", "\u202e", "\x1b[31mred", "\x00", "\x07", "a\nb", "x" * 300, "x" * 120_000,
    "\ud800", "range(0, 99999999999)", "range(0, 3)", "range(-1, 1)", "20nJ", "1e999nJ", "1%", "1e5%", "...%", ".",
    "^(a+)+$", "(a|a)*b", "a{1,99999999999999}", "(?a)(?u)x", "(" * 500, "[", "(?P<a>", "(?<=a+)", "a" * 5 + "+" * 3,
    ".*.*.*.*.*.*", "^conv2d_0$", ".*", "^dense", "(?x)( a + )+", r"\1", r"(a)\1*", "[[a]]", "(?i)CONV",
    "my.module:load", "a:b", ":", "a:", "module:", "os:path", "binary", "ternary", "quantized_bits(4,0,1)",
    "quantized_bits(0)", "quantized_bits(1)", "quantized_bits(4,9)", "quantized_bits(4,-3)", "quantized_bits(999)",
    "quantized_bits(4,0,1,alpha=0)", "quantized_bits(4,0,1,alpha=[0.5,1])", "quantized_bits(4,alpha='auto_po2')",
    "ternary(number_of_unrolls=1000000000)", "quantized_bits(8,scale_axis=99)", "quantized_po2(64)",
    "quantized_bits(8,min_po2_exponent=3,max_po2_exponent=1)", "quantized_bits(" + "[" * 5000, "quantized_bits(1e400)",
    "quantized_bits(" + "9" * 5000 + ")", "quantized_relu(4,2,negative_slope=" + "4" * 40 + ")", "quantized_bits(4,0,1",
    "quantized_bits(inf)", "quantized_bits(bits=4,bits=4)", "quantized_relu(4,2,0,0.25)", "fp16", "int8", "adam", "sgd",
    "mse", "acc", "loss", "energy", "bits", "horowitz", "fixed", "sram", "linear", "default", "softmax", "random",
)  # fmt: skip
_NUMBERS = (
    0, 1, -1, 2, 3, 8, 16, 31, 32, 33, 64, 255, 10**6, 2**31, 2**32, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, 10**400,
    0.0, -0.0, 0.5, 1.0, -1.5, 1e-300, 1e300, 1e-9, math.inf, -math.inf, math.nan,
)  # fmt: skip
_SNIPPETS = (
    "\x00", "\x1b[31m", "\ufeff", "\ud800", "\t", "\n", "\r", "\u2028", "\x85", "---\n", "...\n", "--- a\n", "&a ", "*a", "<<: ", "<<: *a",
    "<<: [*a, *a]", "&a [*a]", "&a {<<: *a}", "!!int x", "!!float x", "!!bool maybe", "!!int ''", "!!null x", "!!python/object:os.system {}",
    "!!python/name:os.system", "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]", "!!timestamp 2024-01-01", "!!str 5", "!!str [1]",
    "!!seq {a: 1}", "!foo bar", "!<x> y", "? [a]\n: b", "? {a: b}\n: c", "? a\n", "- ", ": ", "{", "}", "[", "]", "'", '"', "|\n", ">\n",
    "#", "%YAML 1.2\n", "%TAG ! x\n", "@", "`", "0x", "0b_", "._", "1_000", "010", "1:30", "2024-11-25", "=", "<<", "16: 1.0", "yes: 1",
    "1.5: 2", "~: 1", "[" * 10_000, "{a: " * 200, "- " * 200, "9" * 5000, '"\\x00"', '"\\uD800"', "a: a: a", "a: 1\na: 2\n", "\\", "\ud83d",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A configuration to try."""

    text: bytes
    overrides: tuple[str, ...] = ()
    output_dir: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of it: right, refused, or what is wrong with what qsearch did."""

    kind: str
    told: str = ""


def _files() -> list[str]:
    """The shipped configurations as they are, and with everything that they leave out."""
    return [text for path in CONFIGS for text in (path.read_text(encoding="utf-8"), to_yaml(load_config(path).config))]


def cases(seed: int) -> Iterator[Case]:
    """Endless; the same for the same seed."""
    chance = random.Random(seed)
    files = _files()
    while True:
        text = chance.choice(files)
        data = yaml.safe_load(text)
        way = chance.random()
        if way < 0.3:
            yield Case(_text_mutated(chance, text).encode("utf-8", "surrogatepass"))
        elif way < 0.36:
            yield Case(_bytes_mutated(chance, text))
        elif way < 0.46:
            groups = {
                chance.choice(("kernel", "bias", "activation", "linear")): {quantizer_text(chance): 4, "ternary": 2}
            }
            limit = {"Conv2D": [[quantizer_text(chance), "binary"], 8, 8]} if chance.random() < 0.5 else data["limit"]
            changed = {**data, "quantization_config": groups, "limit": limit}
            yield Case(yaml.dump(changed, sort_keys=False).encode("utf-8", "surrogatepass"))
        elif way < 0.58:
            overrides = tuple(_override(chance) for _ in range(chance.choice((1, 1, 2))))
            output_dir = chance.choice(TEXTS) if chance.random() < 0.3 else None
            yield Case(text.encode(), overrides, output_dir)
        else:
            for _ in range(chance.choice((1, 1, 1, 2, 4))):
                data = _key_set(chance, data) if chance.random() < 0.7 else _mutated(chance, data)
            written = yaml.dump(data, sort_keys=False, allow_unicode=chance.random() < 0.5)
            yield Case(written.encode("utf-8", "surrogatepass"))


def key_cases(seed: int, each: int) -> Iterator[Case]:
    """Every key of the schema in its turn, set to so many values, in the file and by an option."""
    chance = random.Random(seed)
    files = [*map(yaml.safe_load, _files())]
    for key in KEYS:
        for number in range(each):
            data = chance.choice(files)
            if number % 2:
                value = chance.choice((*TEXTS, *map(str, _NUMBERS[:-12]), *_SNIPPETS))
                yield Case(yaml.dump(data).encode(), (f"{'.'.join(key)}={value}",))
            else:
                written = yaml.dump(_set(data, key, _value(chance)), sort_keys=False)
                yield Case(written.encode("utf-8", "surrogatepass"))


def tried(case: Case, folder: Path) -> Outcome:
    """Load it, and do what a run does with it before Keras."""
    path = folder / "fuzzed.yaml"
    path.write_bytes(case.text)
    start = time.monotonic()
    try:
        loaded = load_config(path, case.overrides, case.output_dir)
        outcome = _kept(loaded, folder) or _used(loaded)
    except ConfigError as error:
        outcome = _refused(str(error), path)
    except Exception as error:  # what the fuzzer looks for
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where is not None else ""
        return Outcome("traceback", f"{type(error).__name__} at {place}: {str(error)[:300]}")
    if time.monotonic() - start > SLOW:
        return Outcome("slow", f"{time.monotonic() - start:.1f} s")
    return outcome


def _kept(loaded: LoadedConfig, folder: Path) -> Outcome | None:
    """The resolved configuration must load to the same one."""
    again = folder / "resolved.yaml"
    text = to_yaml(loaded.config)
    again.write_text(text, encoding="utf-8")
    try:
        same = load_config(again).config
    except ConfigError as error:
        return Outcome("not written", str(error)[:300])
    return None if same == loaded.config or ".nan" in text else Outcome("not written", "loads to another")


def _used(loaded: LoadedConfig) -> Outcome:
    """What Keras and data are not needed for; what does not fit the model is a ConfigError here too."""
    config = loaded.config
    wrong = [line for line in remarks(loaded) if not _PLACE.match(line.replace(loaded.source.name, "fuzzed.yaml"))]
    if wrong:
        return Outcome("no place", wrong[0][:300])
    costs = costs_of(config.goal, GRAPH)
    total = costs.reference.total
    if not math.isfinite(total):
        return Outcome("not finite", f"the reference costs {total}")
    space = search_space(GRAPH, [node.layer for node in GRAPH.nodes], loaded)
    check_suited(loaded, GRAPH, space)
    searched = {layer.filters_dimension for layer in space.layers}
    plan = space.plan({one.name: 1.0 if one.name in searched else one.options[0] for one in space.dimensions})
    price = costs.price(plan)
    if not math.isfinite(price.energy) or not math.isfinite(price.delta):
        return Outcome("not finite", f"a trial costs {price.energy}")
    if config.run.blocks:
        layers = [node.layer for node in GRAPH.nodes]
        table = block_table(loaded, layers, space, {}, total * config.goal.params.stress)
        blockwise(loaded, GRAPH, space, table)
    return Outcome("right")


_PLACE = re.compile(r"(?:\S*(?:\.yaml(?::\d+:\d+)?|:\d+:\d+): |--set |--output-dir)")


def _refused(message: str, path: Path) -> Outcome:
    told = message.replace(str(path), "fuzzed.yaml")
    for line in told.split("\n"):
        if not _PLACE.match(line):
            return Outcome("no place", line[:300])
        if len(line) > 2_500:
            return Outcome("long", line[:300])
    if any(not one.isprintable() for one in told.replace("\n", "")):
        return Outcome("not printable", repr(told)[:300])
    return Outcome("refused", told)


def _graph() -> ModelGraph:
    """With the names of the layers of the shipped configurations' models."""
    map_ = (8, 8, 4)
    nodes = [
        Node(
            name="input",
            layer="input",
            class_name="InputLayer",
            operation=ops.Input(),
            inputs=(),
            input_shapes=(),
            output_shape=map_,
        )
    ]
    for index in range(5):
        conv, act = f"conv2d_{index}", f"act_{index}"
        weights = {"kernel": (3, 3, 4, 4), "bias": (4,)}
        before = nodes[-1].name
        layer = ops.Convolution(filters=4, kernel_size=(3, 3), use_bias=True)
        nodes.append(
            Node(
                name=conv,
                layer=conv,
                class_name="Conv2D",
                operation=layer,
                inputs=(before,),
                input_shapes=(map_,),
                output_shape=map_,
                weights=weights,
                classes=("Conv2D",),
            )
        )
        relu = ops.Activation(Function("relu"))
        nodes.append(
            Node(
                name=act,
                layer=act,
                class_name="Activation",
                operation=relu,
                inputs=(conv,),
                input_shapes=(map_,),
                output_shape=map_,
                classes=("ReLU", "Activation"),
            )
        )
    weights = {"kernel": (4, 3), "bias": (3,)}
    last = Node(
        name="dense",
        layer="dense",
        class_name="Dense",
        operation=ops.Dense(units=3, use_bias=True),
        inputs=(act,),
        input_shapes=(map_,),
        output_shape=(8, 8, 3),
        weights=weights,
        classes=("Dense",),
    )
    return ModelGraph("small", (*nodes, last), ("dense",))


def _keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield (*path, name)
        for below in _models(field.annotation):
            yield from _keys(below, (*path, name))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models(argument)]


KEYS = tuple(dict.fromkeys(_keys(Config)))
"""Every key of the schema."""


def _value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth and kind < 0.05:
        return quantizer_text(chance)
    if depth and kind < 0.1:
        return chance.choice(("act_0", "quantized_bits(4,0,1)", 1, 2, 0.5, 4))
    if kind < 0.4:
        return chance.choice(TEXTS)
    if kind < 0.7:
        return chance.choice(_NUMBERS)
    if kind < 0.8:
        return chance.choice((None, True, False, [], {}))
    if depth > 3:
        return 1
    if kind < 0.9:
        return [_value(chance, depth + 1) for _ in range(chance.choice((0, 1, 2, 3, 4)))]
    return {_key(chance): _value(chance, depth + 1) for _ in range(chance.choice((0, 1, 2)))}


def _key(chance: random.Random) -> Any:
    if chance.random() < 0.2:
        return quantizer_text(chance)
    if chance.random() < 0.6:
        return chance.choice(chance.choice(KEYS))
    return chance.choice((*TEXTS, 16, 32, 0, True, None, 1.5, "start", "stop", "whole_set"))


def _key_set(chance: random.Random, data: Any) -> Any:
    """A key of the schema set to something."""
    return _set(data, chance.choice(KEYS), _value(chance))


def _set(data: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    below = data if isinstance(data, dict) else {}
    return {**below, path[0]: _set(below.get(path[0]), path[1:], value)}


def _mutated(chance: random.Random, data: Any) -> Any:
    """One part of it changed: another value, another key, one less, one more."""
    if isinstance(data, dict) and data and chance.random() < 0.85:
        key = chance.choice(list(data))
        what = chance.random()
        if what < 0.1:
            return {name: value for name, value in data.items() if name != key}
        if what < 0.2:
            return {(_key(chance) if name == key else name): value for name, value in data.items()}
        if what < 0.3:
            return {**data, _key(chance): _value(chance)}
        return {**data, key: _mutated(chance, data[key])}
    if isinstance(data, int | float | str) and chance.random() < 0.4:
        return _near(chance, data)
    if isinstance(data, list) and data and chance.random() < 0.85:
        index = chance.randrange(len(data))
        if chance.random() < 0.3:
            return [*data[:index], _value(chance), *data[index:]]
        return [*data[:index], _mutated(chance, data[index]), *data[index + 1 :]]
    return chance.choice((_value(chance), [data], {"name": data}, [data] * 5))


def _near(chance: random.Random, value: float | str) -> Any:
    """Something like it, which may be right."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float) and abs(value) > 1e15:
        return 3
    if isinstance(value, int | float):
        return chance.choice(
            (value + 1, value - 1, value * 2, value / 2, value * 10**6, -value, float(value), str(value))
        )
    return chance.choice((value.upper(), value + " ", value[:-1], value[1:], value * 2, value.replace("0", "9")))


def _text_mutated(chance: random.Random, text: str) -> str:
    for _ in range(chance.choice((1, 1, 2, 3))):
        place = chance.randrange(len(text) + 1)
        if chance.random() < 0.5:  # where a value begins
            found = [match.end() for match in re.finditer(r": |, |\[|\{|\n|- ", text)]
            place = chance.choice(found) if found else place
        end = min(len(text), place + chance.choice((0, 0, 0, 1, 5, 40)))
        text = text[:place] + chance.choice((*_SNIPPETS, *TEXTS, text[end : end + 30])) + text[end:]
    return text


def _bytes_mutated(chance: random.Random, text: str) -> bytes:
    encoding = chance.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp037"))
    if chance.random() < 0.5:
        return text.encode(encoding)
    data = bytearray(text.encode())
    for _ in range(chance.choice((1, 3))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _override(chance: random.Random) -> str:
    if chance.random() < 0.2:
        return chance.choice(("run.max_trials", "=3", "a.b.c=1", "run={", "run=[", ".=1", "a..b=1", "", "=", "run=", "run.max_trials=",
                              "run.max_trials=#", "run.max_trials=---", ".".join("a" * 500) + "=1", "limit.Conv2D.0=3"))  # fmt: skip
    if chance.random() < 0.2:
        group = chance.choice(("kernel", "bias", "activation", "linear"))
        text = quantizer_text(chance)
        return chance.choice(
            (f"quantization_config.{group}={{{text!r}: 4, binary: 1}}", f"limit.Conv2D=[[{text!r}], 8]")
        )
    key = ".".join(chance.choice(KEYS))
    return f"{key}={chance.choice((*TEXTS, *_SNIPPETS, *map(str, _NUMBERS[:-12])))}"


GRAPH = _graph()
