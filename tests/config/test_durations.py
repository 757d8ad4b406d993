"""Times as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsearch.config import load_config, to_yaml
from qsearch.config.durations import in_words
from qsearch.errors import ConfigError

SHORTEST = "dataset: {name: digits}\nmodel: {name: digits}\nlimit: {Dense: [4]}\nrun: {time_limit: VALUE}\n"


def loaded(folder: Path, value: str) -> float | None:
    path = folder / "run.yaml"
    path.write_text(SHORTEST.replace("VALUE", value), encoding="utf-8")
    config = load_config(path).config
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(path).config == config
    return config.run.time_limit


@pytest.mark.parametrize(
    ("written", "seconds", "words"),
    [
        ("90", 90.0, "1 min 30 s"),
        ("0.5", 0.5, "0.5 s"),
        ("90s", 90.0, "1 min 30 s"),
        ("10min", 600.0, "10 min"),
        ("2h", 7200.0, "2 h"),
        ("1h30min", 5400.0, "1 h 30 min"),
        ("1 h 30 min", 5400.0, "1 h 30 min"),
        ("1.5h", 5400.0, "1 h 30 min"),
        ("2d1s", 172801.0, "2 d 1 s"),
    ],
)
def test_a_time_is_read_and_written_back(tmp_path: Path, written: str, seconds: float, words: str) -> None:
    assert loaded(tmp_path, written) == seconds
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("0", "found 0, expected a time above 0: a number of seconds, or a text such as 90s, 10min"),
        ("-5min", "found '-5min', expected a time above 0"),
        ("true", "found True, expected a time"),
        ("'90'", "found '90', expected a time"),
        ("10m", "with the unit 'm', allowed: d, h, min, s; did you mean 'min'?"),
        ("2 Hours", "with the unit 'Hours', allowed: d, h, min, s; did you mean 'h'?"),
        ("30min1h", "found '30min1h', expected a time"),
        (".inf", "at most 1,000,000,000 seconds"),
        ("99999999999h", "at most 1,000,000,000 seconds"),
        ("[1, 2]", r"found \[1, 2\], expected a time"),
    ],
)
def test_what_is_no_time(tmp_path: Path, written: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        loaded(tmp_path, written)
    assert "run.yaml:4:" in str(caught.value)
    assert ": run.time_limit: found " in str(caught.value)
