"""What is kept of the trained reference, for a process that goes on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy

from qsearch.training.checkpoints import Checkpoints


def test_weights_and_the_learning_curve_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert Checkpoints(folder).reference_curve() == ()
    kept = [numpy.ones((2, 3), "float32"), numpy.zeros(3, "float32")]
    Checkpoints(folder).save_reference(kept, [0.5, math.nan, 0.75])
    later = Checkpoints(folder)
    weights = later.reference()
    assert weights is not None
    assert [array.tolist() for array in weights] == [array.tolist() for array in kept]
    numpy.testing.assert_equal(later.reference_curve(), (0.5, math.nan, 0.75))


def test_an_earlier_version_kept_no_curve(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    numpy.savez(folder / "reference.npz", best_0=numpy.ones(3))
    assert Checkpoints(folder).reference_curve() == ()
    assert Checkpoints(folder).reference() is not None
