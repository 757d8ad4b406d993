"""Data sets: arrays, or pipelines. Libraries that hold the data are imported when it is loaded."""

from qsearch.datasets.dataset import ArrayDataset, Dataset, Split
from qsearch.datasets.load import DATASETS, load_dataset
from qsearch.datasets.own import load_own
from qsearch.datasets.source import Source

__all__ = ["DATASETS", "ArrayDataset", "Dataset", "Source", "Split", "load_dataset", "load_own"]
