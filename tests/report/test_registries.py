"""`qsearch list`: what the registries hold, all of it, without TensorFlow."""

from __future__ import annotations

import re

import pytest

from qsearch.config import names
from qsearch.config.search_modes import MODES
from qsearch.errors import ConfigError
from qsearch.layers.table import LAYERS
from qsearch.quantizers.spec import parse
from qsearch.quantizers.table import QUANTIZERS
from qsearch.report.docstrings import first_sentence, sentence
from qsearch.report.registries import TOPICS, items

NAMED = {
    "models": names.MODELS,
    "datasets": names.DATASETS,
    "quantizers": QUANTIZERS,
    "layers": LAYERS,
    "processes": names.PROCESSES,
    "metrics": names.METRICS,
    "losses": names.LOSSES,
    "optimizers": names.OPTIMIZERS,
    "targets": names.TARGETS,
    "modes": MODES,
}


@pytest.mark.parametrize("topic", TOPICS)
def test_each_topic_has_all_its_names_and_words_for_them(topic: str) -> None:
    found = items(topic)
    assert len({tuple(item) for item in found}) == 1  # a table has the same columns in all rows
    if topic in NAMED:
        assert [item["name"] for item in found] == [*NAMED[topic]]
    for item in found:
        assert next(iter(item)) == "name"
        assert all(item[field] for field in ("what", "source", "network", "better") if field in item), item


def test_signatures_are_what_the_quantizers_take() -> None:
    for item in items("quantizers"):
        assert parse(item["signature"]) == parse(
            item["name"] if item["signature"].endswith("()") else item["signature"]
        )
        assert re.match(rf"{item['name']}\(.*\)$", item["signature"])


def test_an_unknown_topic() -> None:
    with pytest.raises(
        ConfigError, match=r"list: found 'quantisers', allowed: models, .*; did you mean 'quantizers'\?"
    ):
        items("quantisers")
    with pytest.raises(ConfigError, match="list: found nothing, allowed: models"):
        items("")


def test_sentences() -> None:
    assert first_sentence("Of He et al. 2016. And more.\n\nRest.") == "Of He et al. 2016"
    assert first_sentence("Two\n    lines. More") == "Two lines"
    assert first_sentence(None) == sentence("no.such_module") == sentence("plan", "NoSuchClass") == ""
    assert sentence("quantizers.signs", "ternary").startswith("scale · (−1, 0 or +1)")
