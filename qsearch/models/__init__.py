"""Reference networks and model files. Keras is imported when a model is made."""

from qsearch.models.build import build_model
from qsearch.models.custom import build_custom, custom_objects_in, import_objects
from qsearch.models.files import load_model
from qsearch.models.presets import MODELS

__all__ = ["MODELS", "build_custom", "build_model", "custom_objects_in", "import_objects", "load_model"]
