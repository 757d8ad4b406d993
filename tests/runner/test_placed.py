"""Errors of data and models name the key that led there."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsearch.errors import DatasetError, ModelError
from qsearch.runner.pipeline import run

START = "limit: {Dense: [4], Conv2D: [4], Activation: [4]}\nreference: {epochs: 0}\nrun: {max_trials: 1}\n"


@pytest.mark.parametrize(
    ("dataset", "model", "error", "told"),
    [
        ("{npz: no.npz}", "{name: digits}", DatasetError, "4:16: dataset.npz: no.npz: no such file"),
        ("{name: digits, validation: 0.0001}", "{name: digits}", DatasetError, "4:37: dataset.validation: digits: "),
        ("{name: digits, train_samples: 9999}", "{name: digits}", DatasetError, "4:40: dataset.train_samples: digits"),
        ("{name: digits}", "{name: mnist}", DatasetError, "4:17: dataset.name: digits does not fit mnist"),
        ("{name: digits}", "{path: no.keras}", ModelError, "5:15: model.path: no.keras: no such file"),
        ("{name: digits}", "{path: no.keras, custom_objects: ['nowhere:A']}", ModelError, "5:25: model.custom_objects"),
    ],
)
def test_the_place_of_what_led_there(
    tmp_path: Path, dataset: str, model: str, error: type[Exception], told: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"{START}dataset: {dataset}\nmodel: {model}\n", encoding="utf-8")
    with pytest.raises(error) as caught:
        run(path, [f"run.output_dir={tmp_path / 'out'}"])
    assert str(caught.value).startswith(f"{path}:{told}")
    assert str(caught.value).count(str(path)) == 1
