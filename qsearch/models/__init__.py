"""Reference networks and model files. Keras is imported when a model is made."""

from qsearch.models.build import build_model
from qsearch.models.files import load_model
from qsearch.models.own import build_own, import_objects, own_objects
from qsearch.models.presets import MODELS

__all__ = ["MODELS", "build_model", "build_own", "import_objects", "load_model", "own_objects"]
