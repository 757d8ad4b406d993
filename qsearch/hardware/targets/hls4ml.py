"""hls4ml: a C++ project for high-level synthesis, in fixed-point types that round as the model does."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ConfigError, ExportError, shown
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.hls4ml_layers import Network, network_of

PROJECT = "qsearch_model"
README = f"""An hls4ml project; `vitis_hls -f build_prj.tcl` (or `vivado_hls`) in this folder synthesizes it. The network
is `firmware/{PROJECT}.cpp`, its types are in `firmware/defines.h`. `bash build_lib.sh` compiles it with g++ for a
simulation. Where an output below is divided by a number, that division is left to the reader of the output.
"""
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "io_type": ("io_parallel", "io_stream"),
    "strategy": ("latency", "resource"),
    "backend": ("Vitis", "Vivado"),
}
_DEFAULTS: Mapping[str, Any] = {
    "io_type": "io_parallel",
    "strategy": "latency",
    "backend": "Vitis",
    "reuse_factor": 1,
    "part": "xcvu13p-flga2577-2-e",
    "clock_period": 5,
}


class Hls4mlTarget:
    """A project of hls4ml, written from the integer model."""

    name, extra, readme = "hls4ml", "hls4ml", README

    def check(self, model: IntegerModel) -> None:
        network_of(model)
        if importlib.util.find_spec("hls4ml") is None:
            raise ConfigError("hls4ml is not installed; `pip install qsearch[hls4ml]`")

    def write(self, model: IntegerModel, folder: Path, options: Mapping[str, Any]) -> None:
        chosen = _options(options)
        network = network_of(model)
        from hls4ml.model.graph import ModelGraph

        inputs = [network.names[source.name] for source in model.sources]
        config = _config(network, folder, chosen)
        try:
            with _silent():
                graph = ModelGraph.from_layer_list(config, network.layers, inputs, _outputs(model, network))
                graph.write()
        except (AssertionError, NotImplementedError, RuntimeError, ValueError) as error:
            raise ExportError(f"hls4ml cannot write this model with {chosen['io_type']}: {error}") from error

    def run(self, model: IntegerModel, folder: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]] | None:
        """The C++ code on every sample, compiled apart, so that the project stays as it was written."""
        if shutil.which("g++") is None or shutil.which("bash") is None:
            return None
        with tempfile.TemporaryDirectory() as aside:
            project = Path(aside) / "project"
            shutil.copytree(folder, project)
            built = subprocess.run(["bash", "build_lib.sh"], cwd=project, capture_output=True, text=True, check=False)
            if built.returncode:
                raise ExportError(f"hls4ml: g++ does not compile the project: {shown(built.stderr[-800:])}")
            library = ctypes.CDLL(str(next((project / "firmware").glob("*.so"))))
            return _simulated(model, getattr(library, f"{PROJECT}_double"), codes)


def _simulated(
    model: IntegerModel, function: Callable[..., Any], codes: Mapping[str, Codes]
) -> Mapping[str, NDArray[Any]]:
    values = [numpy.ascontiguousarray(source.form.values(codes[source.name])) for source in model.sources]
    shapes = {step.name: step.shape for step in model.steps}
    steps = list(dict.fromkeys(output.step for output in model.outputs))
    found = {name: numpy.zeros((len(values[0]), *shapes[name])) for name in steps}
    pointer = ctypes.POINTER(ctypes.c_double)
    for index in range(len(values[0])):
        arrays = [value[index : index + 1] for value in values] + [found[name][index : index + 1] for name in steps]
        function(*(array.ctypes.data_as(pointer) for array in arrays))
    forms = model.forms
    return {output.name: found[output.step] / forms[output.step].divisor for output in model.outputs}


def _outputs(model: IntegerModel, network: Network) -> list[str]:
    return list(dict.fromkeys(network.names[output.step] for output in model.outputs))


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        ConfigError: an unknown option, or a value that it does not take.
    """
    for key, value in given.items():
        if key not in _DEFAULTS:
            raise ConfigError(f"hls4ml: option {shown(key)} is unknown; allowed: {', '.join(sorted(_DEFAULTS))}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise ConfigError(f"hls4ml: {key} is {shown(value)}; allowed: {', '.join(_CHOICES[key])}")
    chosen = {**_DEFAULTS, **given}
    factor, period = chosen["reuse_factor"], chosen["clock_period"]
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 1:
        raise ConfigError(f"hls4ml: reuse_factor is {shown(factor)}; allowed: whole numbers from 1")
    if isinstance(period, bool) or not isinstance(period, int | float) or not period > 0:
        raise ConfigError(f"hls4ml: clock_period is {shown(period)}; allowed: nanoseconds above 0")
    return chosen


def _config(network: Network, folder: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    from hls4ml.backends import get_backend

    backend = get_backend(chosen["backend"])
    config: dict[str, Any] = backend.create_initial_config(
        part=chosen["part"], clock_period=chosen["clock_period"], io_type=chosen["io_type"]
    )
    common = {"ReuseFactor": chosen["reuse_factor"], "Strategy": chosen["strategy"]}
    layers = {name: {"Precision": types, **common} for name, types in network.precisions.items()}
    return config | {
        "OutputDir": str(folder),
        "ProjectName": PROJECT,
        "Backend": chosen["backend"],
        # every type is given, so that hls4ml has none to derive
        "HLSConfig": {"Model": {"Precision": "fixed<32,16>", "BitExact": False, **common}, "LayerName": layers},
    }


@contextlib.contextmanager
def _silent() -> Any:
    """hls4ml prints what it does."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


TARGET = Hls4mlTarget()
