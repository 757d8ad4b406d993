"""Winners of short searches through every target: samples that differ from Keras, and what an export takes.

    TFDS_DATA_DIR=... python benchmarks/exports.py [--targets c onnx] [--networks digits mnist] [--trials 2]

Each network is searched for a few trials of a few epochs; its winner is exported with 1,000 samples of its test set.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

import qsearch
from qsearch.errors import QsearchError
from qsearch.hardware.targets import TARGETS

HERE = Path(__file__).parent
SEARCH = """
reference: {epochs: 4, batch_size: 64, optimizer: {name: adam, learning_rate: 0.005}, metrics: [acc]}
limit: {Dense: [8, 8, 4], Conv1D: [4, 8, 4], Conv2D: [4, 8, 4], DepthwiseConv2D: [4, 8, 4], SeparableConv2D: [4, 8, 4],
        Activation: [4], BatchNormalization: []}
goal:
  type: energy
  params: {source_quantizers: [int8], reference_internal: int8, reference_accumulator: int32, rd_wr_on_io: false,
           parameters_on_memory: sram, activations_on_memory: sram}
run: {mode: random, seed: 1, epochs: 3, batch_size: 64, transfer_weights: true, tune_filters: layer,
      tune_filters_exceptions: "^dense"}
"""


@dataclass(frozen=True)
class Searched:
    """A model and its data, as a configuration has them."""

    model: dict[str, object]
    dataset: dict[str, object]
    own: bool = False

    def config(self, trials: int, folder: Path) -> dict[str, object]:
        made = yaml.safe_load(SEARCH)
        if self.own:
            made["reference"]["loss"] = "sparse_categorical_crossentropy"
        made["run"] |= {"max_trials": trials, "output_dir": str(folder / "run")}
        return made | {"model": self.model, "dataset": {"validation": 0.2, **self.dataset}}


def _own(name: str, data: str) -> Searched:
    return Searched({"factory": f"exported_networks:{name}"}, {"factory": f"exported_networks:{data}"}, own=True)


MNIST = {"name": "mnist", "train_samples": 6000, "test_samples": 2000}
NETWORKS = {
    "digits": Searched({"name": "digits"}, {"name": "digits"}),
    "digits_resnet": Searched({"name": "digits_resnet"}, {"name": "digits"}),
    "mnist": Searched({"name": "mnist"}, MNIST),
    "mnist, mobilenet": Searched({"name": "mnist", "use_separable": "mobilenet"}, MNIST),
    "mnist, xnornet": Searched({"name": "mnist", "use_xnornet_trick": True}, MNIST),
    "jets": _own("jets", "jet_data"),
    "Conv1D": _own("sequence", "sequence_data"),
    "U-Net": _own("unet", "unet_data"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="*", default=sorted(TARGETS))
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--for-target", action="store_true", help="search anew for each target, with target: set")
    parser.add_argument("--fold", action="store_true", help="with run.fold_batch_norm")
    arguments = parser.parse_args()
    print("| network | target | differ from Keras | differ from the integers | seconds |\n|---|---|---|---|---|")
    for name in arguments.networks:
        wanted = [[target] for target in arguments.targets] if arguments.for_target else [arguments.targets]
        for targets in wanted:
            _searched(name, targets, arguments)


def _searched(name: str, targets: list[str], arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        config = NETWORKS[name].config(arguments.trials, folder)
        config["run"]["fold_batch_norm"] = arguments.fold  # type: ignore[index]
        if arguments.for_target:
            config["target"] = targets[0]
        (folder / "search.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        (folder / "exported_networks.py").write_text((HERE / "exported_networks.py").read_text(encoding="utf-8"))
        try:
            result = qsearch.run(folder / "search.yaml")
        except QsearchError as error:
            print(f"| {name} | {', '.join(targets)} | {error} | | |", flush=True)
            return
        model = result.load_best()
        samples = _samples(folder / "search.yaml")
        for target in targets:
            print(f"| {name} | {target} | {_exported(model, target, folder / target, samples)} |", flush=True)


def _samples(config: Path) -> object:
    import exported_networks

    from qsearch.config import load_config
    from qsearch.datasets import load_dataset
    from qsearch.runner.exports import SAMPLES, samples_of

    data = load_config(config).config.dataset
    if data.name is not None:
        return samples_of(load_dataset(data.name, None, data.test_samples).test)
    return getattr(exported_networks, str(data.factory).split(":")[1])()[1][0][:SAMPLES]


def _exported(model: object, target: str, folder: Path, samples: object) -> str:
    started = time.monotonic()
    try:
        found = qsearch.export(model, target, folder, samples=samples)  # type: ignore[arg-type]
    except QsearchError as error:
        return f"{error} | | {time.monotonic() - started:.1f}"
    comparison = found.comparison
    differing = sum(comparison.keras_mismatches.values())
    how = f"{comparison.artefact_mismatches}" if found.executed else "not run"
    return f"{differing} of {comparison.samples} | {how} | {time.monotonic() - started:.1f}"


if __name__ == "__main__":
    main()
