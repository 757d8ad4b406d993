"""What a configuration can name, from the registries themselves: models, data sets, quantizers, ... No TensorFlow.

Each is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.report.docstrings import first_sentence, sentence

if TYPE_CHECKING:
    from qsearch.quantizers.parameters import Parameter

Item = Mapping[str, Any]
"""One thing, by the names of its fields, the same for all of a topic; `name` is the first."""


def items(topic: str) -> list[Item]:
    """What there is of a topic.

    Raises:
        ConfigError: it is none.
    """
    if topic not in TOPICS:
        found = shown(topic) if topic else "nothing"
        raise ConfigError(f"list: found {found}, allowed: {', '.join(TOPICS)}{did_you_mean(topic, TOPICS)}")
    return TOPICS[topic]()


def _models() -> list[Item]:
    from qsearch.models.presets import MODELS

    return [
        {
            "name": name,
            "input": list(network.shape),
            "classes": network.num_classes,
            "filters": [list(each) if isinstance(each, tuple) else each for each in network.filters],
            "network": sentence(type(network).__module__.removeprefix("qsearch.")),
        }
        for name, network in MODELS.items()
    ]


def _datasets() -> list[Item]:
    from qsearch.datasets.load import DATASETS

    found: list[Item] = []
    for name, load in DATASETS.items():
        function = load.func if isinstance(load, partial) else load
        found.append({"name": name, "what": first_sentence(function.__doc__)})
    return found


def _quantizers() -> list[Item]:
    from qsearch.quantizers.table import QUANTIZERS

    return [
        {
            "name": name,
            "signature": f"{name}({', '.join(map(_parameter, entry.parameters))})",
            "what": sentence(f"quantizers.{entry.module}", name),
        }
        for name, entry in QUANTIZERS.items()
    ]


def _parameter(parameter: Parameter) -> str:
    return f"{parameter.name}={parameter.default!r}"


def _layers() -> list[Item]:
    from qsearch.layers.table import LAYERS

    return [
        {
            "name": name,
            "replaces": list(entry.replaces),
            "in_limit": entry.in_limit and bool(entry.replaces),
            "roles": [role.value for role in dict.fromkeys([*entry.arguments, *entry.needed, *entry.keys.values()])],
            "what": sentence(f"layers.{entry.module}", name),
        }
        for name, entry in LAYERS.items()
    ]


def _processes() -> list[Item]:
    from qsearch.energy.process import PROCESSES

    return [{"name": name, "source": process.source} for name, process in PROCESSES.items()]


def _metrics() -> list[Item]:
    from qsearch.config.keras_options import METRIC_CLASSES, SHORT
    from qsearch.config.names import METRICS

    return [
        {
            "name": name,
            "better": direction,
            "limit": limit,
            "options": list(METRIC_CLASSES[SHORT.get(name, name)].options)
            if SHORT.get(name, name) in METRIC_CLASSES
            else [],
        }
        for name, (direction, limit) in METRICS.items()
    ]


def _losses() -> list[Item]:
    from qsearch.config.keras_options import LOSS_CLASSES, SHORT
    from qsearch.config.names import LOSSES, SIGNED_LOSSES

    return [
        {
            "name": name,
            "below_zero": name in SIGNED_LOSSES,
            "options": list(LOSS_CLASSES[SHORT.get(name, name)].options),
        }
        for name in LOSSES
    ]


def _optimizers() -> list[Item]:
    from qsearch.config.names import OPTIMIZERS

    return [{"name": name, "options": list(options)} for name, options in OPTIMIZERS.items()]


def _targets() -> list[Item]:
    from qsearch.config.names import TARGET_ALIASES, TARGETS

    return [
        {
            "name": name,
            "also": [alias for alias, meant in TARGET_ALIASES.items() if meant == name],
            "what": sentence(f"hardware.targets.{name}").removeprefix(f"{name}: "),
        }
        for name in TARGETS
    ]


def _modes() -> list[Item]:
    from qsearch.config.search_modes import SEARCH_MODES

    return [{"name": mode.name, "options": list(mode.options), "what": mode.meaning} for mode in SEARCH_MODES.values()]


def _configs() -> list[Item]:
    from qsearch.config.shipped import shipped_configs

    found: list[Item] = []
    for name, path in shipped_configs().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        found.append({"name": name, "what": first.removeprefix("#").strip(), "file": str(path)})
    return found


TOPICS: Mapping[str, Callable[[], list[Item]]] = {
    "models": _models,
    "datasets": _datasets,
    "quantizers": _quantizers,
    "layers": _layers,
    "processes": _processes,
    "metrics": _metrics,
    "losses": _losses,
    "optimizers": _optimizers,
    "targets": _targets,
    "modes": _modes,
    "configs": _configs,
}
