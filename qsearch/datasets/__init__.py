"""Data sets: arrays, or pipelines. Libraries that hold the data are imported when it is loaded."""

from qsearch.datasets.custom import load_custom
from qsearch.datasets.dataset import ArrayDataset, Dataset, Split
from qsearch.datasets.load import DATASETS, load_dataset
from qsearch.datasets.source import Source

__all__ = ["DATASETS", "ArrayDataset", "Dataset", "Source", "Split", "load_custom", "load_dataset"]
