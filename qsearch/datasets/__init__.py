"""Data sets as arrays. Libraries that hold the data are imported when it is loaded."""

from qsearch.datasets.dataset import Dataset, Split
from qsearch.datasets.load import DATASETS, load_dataset
from qsearch.datasets.own import load_own

__all__ = ["DATASETS", "Dataset", "Split", "load_dataset", "load_own"]
