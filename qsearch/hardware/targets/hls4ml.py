"""hls4ml: a C++ project for high-level synthesis, in fixed-point types that round as the model does."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ConfigError, ExportError, shown
from qsearch.hardware.integer.build import NORMS
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.hls4ml_layers import Network, network_of
from qsearch.hardware.targets.target import Write

PROJECT = "qsearch_model"
README = f"""An hls4ml project; `vitis_hls -f build_prj.tcl` in this folder synthesizes it (`vivado_hls` for Vivado).
The network is `firmware/{PROJECT}.cpp`, its types are in `firmware/defines.h`.
`bash build_lib.sh` compiles it with g++ for a simulation.
Where an output below is divided by a number, that division is left to the reader of the output.
"""
_DRIVER = """
import ctypes, sys
import numpy
library, function, path = sys.argv[1:]
call = getattr(ctypes.CDLL(library), function)
with numpy.load(path) as held:
    arrays = {name: numpy.ascontiguousarray(held[name]) for name in held.files}
pointer = ctypes.POINTER(ctypes.c_double)
for index in range(len(arrays["input0"])):
    call(*(array[index : index + 1].ctypes.data_as(pointer) for array in arrays.values()))
numpy.savez(path, **arrays)
"""
"""Every sample through the function of a library; arrays are its arguments in order."""
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

    name, extra, readme, wide_option = "hls4ml", "hls4ml", README, ""
    norms, keeps_softmax = NORMS[0], False

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        chosen = _options(options)
        network = network_of(model)
        if chosen["io_type"] == "io_stream":
            _check_stream(network)
        if importlib.util.find_spec("hls4ml") is None:
            raise ConfigError("hls4ml is not installed; `pip install qsearch[hls4ml]`")
        return partial(_write, model, network, chosen)

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
            return _simulated(model, project, codes)


def _write(model: IntegerModel, network: Network, chosen: Mapping[str, Any], folder: Path) -> Mapping[str, str]:
    from hls4ml.model.graph import ModelGraph

    inputs = [network.names[source.name] for source in model.sources]
    config = _config(network, folder, chosen)
    try:
        with _silent():
            graph = ModelGraph.from_layer_list(config, network.layers, inputs, _outputs(model, network))
            graph.write()
    except (AssertionError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ExportError(f"hls4ml cannot write this model with {chosen['io_type']}: {error}") from error
    written = folder / "hls4ml_config.yml"  # the folder is moved to its place when all of it is right
    written.write_text(written.read_text(encoding="utf-8").replace(str(folder), "."), encoding="utf-8")
    return {}


def _simulated(model: IntegerModel, project: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]]:
    """In a process of its own, as C++ that fails ends the process that it is in."""
    shapes = {step.name: step.shape for step in model.steps}
    steps = list(dict.fromkeys(output.step for output in model.outputs))
    values = [source.form.values(codes[source.name]) for source in model.sources]
    given = {f"input{index}": value for index, value in enumerate(values)}
    zeros = {f"output{index}": numpy.zeros((len(values[0]), *shapes[name])) for index, name in enumerate(steps)}
    numpy.savez(project / "values.npz", **given, **zeros)  # type: ignore[arg-type]
    library = next((project / "firmware").glob("*.so"))
    command = [sys.executable, "-c", _DRIVER, str(library), f"{PROJECT}_double", str(project / "values.npz")]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"hls4ml: the simulation ends with {done.returncode}: {shown(done.stderr[-800:])}")
    with numpy.load(project / "values.npz", allow_pickle=False) as arrays:
        found = {name: arrays[f"output{index}"] for index, name in enumerate(steps)}
    forms = model.forms
    return {output.name: found[output.step] / forms[output.step].divisor for output in model.outputs}


def _outputs(model: IntegerModel, network: Network) -> list[str]:
    return list(dict.fromkeys(network.names[output.step] for output in model.outputs))


def _check_stream(network: Network) -> None:
    """
    Raises:
        ExportError: a layer that is exact with arrays only.
    """
    for layer in network.layers:
        kind = layer["class_name"]
        padded = "MaxPooling" in kind and any(size for name, size in layer.items() if name.startswith("pad_"))
        if padded or kind == "Transpose":
            what = "pooling with padding" if padded else "permutation"
            raise ExportError(f"{layer['name']}: hls4ml has no {what} with io_stream; use io_parallel")


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
