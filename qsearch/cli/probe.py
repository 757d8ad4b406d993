"""`python -m qsearch.cli.probe`: imports all that a run needs, and prints what came of it as JSON.

A process of its own, as an import may end it: TensorFlow is compiled for instructions that not every processor has.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from qsearch.errors import QsearchError
from qsearch.startup import importing


def probed() -> dict[str, Any]:
    """What was imported and which devices there are; or `problem`, in words."""
    try:
        with importing():
            import keras
            import tensorflow

            import qsearch.runner.pipeline
    except QsearchError as error:
        return {"problem": str(error)}
    threads = tensorflow.config.threading
    return {
        "keras": keras.__version__,
        "tensorflow": tensorflow.__version__,
        "backend": keras.config.backend(),
        "floatx": keras.config.floatx(),
        "image_data_format": keras.config.image_data_format(),
        "devices": [device.name for device in tensorflow.config.list_physical_devices()],
        "gpu_built": bool(tensorflow.test.is_built_with_gpu_support()),
        "threads": [threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads()],
        "pipeline": qsearch.runner.pipeline.__name__,
    }


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(probed())}\n")
