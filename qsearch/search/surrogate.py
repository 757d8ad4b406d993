"""A model of the metric: Gaussian process regression on encoded values, by scikit-learn."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy

from qsearch.search.encoding import Encoding, Matrix
from qsearch.search.space import Values

_NODES, _WEIGHTS = numpy.polynomial.hermite_e.hermegauss(7)
NODES = tuple(float(node) for node in _NODES)
"""Standard deviations at which a prediction is looked at."""
WEIGHTS = tuple(float(weight) / math.sqrt(2 * math.pi) for weight in _WEIGHTS)
"""What each of these counts for in an expectation (Gauss-Hermite quadrature)."""


class Surrogate:
    """Predicts the metric of values that were not tried.

    Where the metric has a limit it is the distance to that limit, on a logarithmic scale, that is modelled: from 0.98
    to 0.99 is as far as from 0.96 to 0.98.
    """

    def __init__(self, encoding: Encoding, limit: float | None) -> None:
        self._encoding = encoding
        self._limit = limit
        self._regressor: Any = None

    def fit(self, tried: Sequence[Values], worths: Sequence[float]) -> None:
        """Learn from at least two trials; worths: their metrics, turned so that more is better."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(1.0, (0.2, 10.0), nu=2.5) + WhiteKernel(0.05, (1e-3, 1.0))
        regressor = GaussianProcessRegressor(kernel, normalize_y=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a hyperparameter at the end of its range is no fault
            regressor.fit(self._encoding.vectors(tried), self._scaled(numpy.array(worths)))
        self._regressor = regressor

    def predict(self, candidates: Sequence[Values]) -> Matrix:
        """(nodes, candidates): worths at each of `NODES` standard deviations from the mean."""
        means, deviations = self._regressor.predict(self._encoding.vectors(candidates), return_std=True)
        worths: Matrix = means + numpy.array(NODES)[:, None] * deviations
        return self._unscaled(worths)

    def _scaled(self, worths: Matrix) -> Matrix:
        if self._limit is None:
            return worths
        return -numpy.log(numpy.maximum(self._limit - worths, 0) + _NEAR)

    def _unscaled(self, scaled: Matrix) -> Matrix:
        if self._limit is None:
            return scaled
        return numpy.minimum(self._limit - numpy.exp(-scaled) + _NEAR, self._limit)


_NEAR = 2e-3
"""Distances to the limit that are not told apart."""
