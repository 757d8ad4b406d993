"""Real Keras models: is each one read, priced and searched, and does a plan's price equal its saved model's?

    python benchmarks/real_models.py FOLDER_OR_FILES... [--applications] [--trials 2] [--widths] [--macs]
                                     [--csv out.csv]

Every model is loaded, priced as an int8 reference and given the search space of a broad configuration. Checked is that
the cheapest plan costs less than the reference; that the cheapest plan, a random one, with `--widths` one with other
filters, and the quantizers that the model already has cost what the model made of them costs after it is saved and
loaded, to the last digit; with `--macs`, that MACs are those of TensorFlow's graph of the model; with `--trials`,
that `qsearch run` gets through and tells the energy of the model it saves. Shown besides is how much of the
reference's cost no choice of the search reaches, and what is not priced. `--applications` adds the networks of
keras.applications, with random weights and without trials. Exit status 1 where a check failed.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import yaml
from graph_macs import graph_macs

import qsearch
from qsearch.blocks.lookahead import cost_in
from qsearch.config import load_config
from qsearch.energy.counts import counts
from qsearch.goal.pricer import costs_of
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.runner.experiment import Experiment, read_experiment
from qsearch.search.cheapest import cheapest
from qsearch.search.trials import FailedTrial

ENDINGS = (".keras", ".h5", ".hdf5")
WEIGHTS = ("Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "Conv2DTranspose")
LIMIT: dict[str, list[int]] = {
    **{name: [4, 4, 4] for name in (*WEIGHTS, "LSTM", "GRU", "SimpleRNN")},
    "Activation": [8],
    "BatchNormalization": [],
    "linear": [8],
}
QUANTIZERS = {
    "kernel": {"binary": 1, "ternary": 2, "quantized_bits(4,0,1,alpha=1.0)": 4},
    "bias": {"quantized_bits(4,0,1)": 4},
    "activation": {"quantized_relu(3,1)": 3, "quantized_relu(4,2)": 4},
    "linear": {"quantized_bits(8,2)": 8},
}
ENERGY = {
    "parameters_on_memory": "sram",
    "activations_on_memory": "sram",
    "rd_wr_on_io": False,
    "min_sram_size": 0,
    "source_quantizers": ["int8"],
    "reference_internal": "int8",
    "reference_accumulator": "int32",
}
APPLICATIONS: dict[str, dict[str, Any]] = {
    "MobileNet": {"alpha": 0.25},
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {},
    "MobileNetV3Large": {},
    "EfficientNetB0": {},
    "EfficientNetV2B0": {},
    "ResNet50": {},
    "DenseNet121": {},
    "NASNetMobile": {},
    "Xception": {"input_shape": (71, 71, 3)},
    "InceptionV3": {"input_shape": (75, 75, 3)},
    "VGG16": {},
    "ConvNeXtTiny": {},
}
SAMPLES, TEST_SAMPLES = 32, 16
DATA = """
import numpy


def array(rng, count, shape, classes):
    if classes:
        return rng.integers(0, classes, (count, *shape))
    return rng.uniform(0, 1, (count, *shape)).astype("float32")


def data():
    rng = numpy.random.default_rng(0)
    parts = []
    for count in SIZES:
        sides = [{name: array(rng, count, *form) for name, form in forms.items()} for forms in (INPUTS, HEADS)]
        parts.append(tuple(next(iter(side.values())) if len(side) == 1 else side for side in sides))
    return tuple(parts)
"""


@dataclass
class Outcome:
    """What became of one model; figures stay empty where a check before them failed.

    Attributes:
        reference, cheapest: pJ.
        searched, costed: layers with a choice, and layers that cost something in the reference.
        unsearched: their part of the reference's cost that the first do not cover.
        unpriced: classes of layers that pay for reading their inputs alone.
        failures: "check: reason" of every check that failed.
        graph_macs: as TensorFlow's operations do them.
    """

    model: str
    layers: int | None = None
    macs: int | None = None
    reference: float | None = None
    cheapest: float | None = None
    searched: int | None = None
    costed: int | None = None
    unsearched: float | None = None
    unpriced: str = ""
    passed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    graph_macs: int | None = None
    seconds: float = 0.0

    @property
    def ratio(self) -> float | None:
        return self.reference / self.cheapest if self.reference and self.cheapest else None


# The internal API of qsearch: all that may have to be adapted when it changes.


def laid_out(config: Path) -> Experiment:
    """Model, costs and search space of a configuration."""
    return read_experiment(load_config(config))


def cheapest_plan(experiment: Experiment) -> QuantizationPlan:
    space = experiment.space
    return space.plan(cheapest(space, cost_in(space, experiment.costs)))


def random_plan(experiment: Experiment, seed: int) -> QuantizationPlan:
    rng = random.Random(seed)
    return experiment.space.plan({one.name: rng.choice(one.options) for one in experiment.space.dimensions})


def price(experiment: Experiment, plan: QuantizationPlan) -> float:
    """What the search takes a plan for, pJ."""
    return float(experiment.costs.price(plan).energy)


def own_price(model: keras.Model, experiment: Experiment) -> float:
    """The price of a model by its own quantizers, with the settings of the experiment's trials, pJ."""
    costs = costs_of(experiment.loaded.config.goal, read_model(model))
    return float(costs.energy(read_plan(model)).total)


def describe(outcome: Outcome, experiment: Experiment) -> None:
    """The figures of a model that are known before any plan."""
    costs = {name: cost for name, cost in experiment.layer_costs.items() if cost > 0}
    searched = {layer.name for layer in experiment.space.layers}
    total = sum(costs.values())
    outcome.macs = sum(counts(node).macs for node in experiment.graph.nodes)
    outcome.reference = float(experiment.costs.reference_energy.total)
    outcome.searched, outcome.costed = len(searched & costs.keys()), len(costs)
    outcome.unsearched = sum(cost for name, cost in costs.items() if name not in searched) / total if total else 0.0
    unknown = [node.class_name for node in experiment.graph.nodes if type(node.operation).__name__ == "Unknown"]
    outcome.unpriced = " ".join(dict.fromkeys(unknown))


# End of the internal API.


class TooLong(BaseException):
    """No `Exception`, so that a search does not take it for a failed trial."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLong(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def write_config(folder: Path, model: Path, limit: dict[str, list[int]], **run: Any) -> Path:
    """A configuration for a model file; `run` may hold the sections reference and dataset too."""
    content = {
        "dataset": run.pop("dataset", {"name": "digits"}),
        "model": {"path": str(model)},
        "reference": run.pop("reference", {"epochs": 0}),
        "quantization_config": QUANTIZERS,
        "limit": limit,
        "goal": {"type": "energy", "params": ENERGY},
        "run": {"output_dir": str(folder / "out"), "seed": 3, "prune": False, **run},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def write_data(folder: Path, model: keras.Model, module: str) -> None:
    """A module with random data for a model; whole numbers where embeddings read them."""
    vocabularies = [layer.input_dim for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    inputs = {
        tensor.name: (tuple(tensor.shape[1:]), min(vocabularies, default=2) if "int" in tensor.dtype else 0)
        for tensor in model.inputs
    }
    heads = {name: (tuple(tensor.shape[1:]), 0) for name, tensor in heads_of(model).items()}
    sizes = (SAMPLES, TEST_SAMPLES)
    lines = f"INPUTS = {inputs!r}\nHEADS = {heads!r}\nSIZES = {sizes!r}\n"
    (folder / f"{module}.py").write_text(DATA.lstrip() + "\n\n" + lines, encoding="utf-8")


def heads_of(model: keras.Model) -> dict[str, Any]:
    names = getattr(model, "output_names", None) or [f"output_{place}" for place in range(len(model.outputs))]
    return dict(zip(names, model.outputs, strict=True))


def saved(model: keras.Model, folder: Path) -> keras.Model:
    """The model as it comes back from a file."""
    path = folder / "saved.keras"
    model.save(path)
    return qsearch.load_model(path)


def same(found: float, expected: float) -> None:
    if found != expected:
        raise AssertionError(f"the saved model costs {found!r} pJ, its plan {expected!r} ({found / expected - 1:+.2%})")


def run_trials(experiment: Experiment, path: Path, folder: Path, trials: int) -> None:
    """`qsearch run` with few trials on random data; the energy that it tells is that of the model that it saves."""
    module = f"random_data_{abs(hash(path))}"
    write_data(folder, experiment.model, module)
    heads = list(heads_of(experiment.model))
    config = write_config(
        folder,
        path,
        LIMIT,
        dataset={"factory": f"{module}:data"},
        reference={"epochs": 0, "loss": "mse", "metrics": ["mae"], "batch_size": 16},
        max_trials=trials,
        epochs=1,
        batch_size=16,
        **({"head_name": heads[0]} if len(heads) > 1 else {}),
    )
    sys.path.insert(0, str(folder))
    try:
        result = qsearch.run(config)
    finally:
        sys.path.remove(str(folder))
    record = qsearch.RunRecord.read(result.run_directory)
    reasons = [trial.reason for trial in record.trials if isinstance(trial, FailedTrial)]
    if reasons:
        raise AssertionError(f"a trial failed: {reasons[0]}")
    best = qsearch.load_model(record.model_path)
    assert record.result is not None
    assert record.result.best is not None
    same(round(own_price(best, experiment), 2), record.result.best.energy)


class Checks:
    """The checks of one model, each in turn; one that fails is noted and ends those that need it."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def __call__(self, check: str, function: Callable[[], Any]) -> Any:
        try:
            found = function()
        except Exception as error:  # whatever a model makes qsearch or Keras stumble over
            self.outcome.failures.append(f"{check}: {_reason(error)}")
            return None
        self.outcome.passed.append(check)
        return True if found is None else found


def survey(outcome: Outcome, path: Path, folder: Path, trials: int, widths: bool, macs: bool) -> None:
    """All checks of one model file."""
    check = Checks(outcome)
    model = check("load", lambda: qsearch.load_model(path, allow_code=False))
    if model is None:
        return
    outcome.layers = len(model._flatten_layers(include_self=False))
    if check("graph", lambda: read_model(model)) is None:
        return
    experiment = check("space", lambda: laid_out(write_config(folder, path, LIMIT)))
    if experiment is None:
        return
    check("figures", lambda: describe(outcome, experiment))
    if macs:
        check("MACs", lambda: _as_tensorflow(outcome, experiment.model))
    if tuple(read_plan(experiment.model)):
        check("own quantizers", lambda: _as_it_is(experiment, folder))
    plans: dict[str, Callable[[], QuantizationPlan]] = {
        "cheapest": lambda: cheapest_plan(experiment),
        "random": lambda: random_plan(experiment, 1),
    }
    for kind, make in plans.items():
        plan = check(f"{kind} plan", make)
        if plan is None:
            continue
        cost = check(f"{kind} price", partial(price, experiment, plan))
        if cost is not None:
            if kind == "cheapest":
                outcome.cheapest = cost
                check("saves", lambda: _below(outcome))
            check(f"{kind} model", partial(_compare, experiment, plan, folder, cost))
    if widths:
        check("widths", lambda: _with_widths(path, folder))
    if trials:
        check("run", lambda: run_trials(experiment, path, folder, trials))


def _as_it_is(experiment: Experiment, folder: Path) -> None:
    same(own_price(saved(experiment.model, folder), experiment), own_price(experiment.model, experiment))


def _below(outcome: Outcome) -> None:
    if outcome.ratio is None or outcome.ratio <= 1:
        raise AssertionError("the cheapest plan costs no less than the reference")


def _compare(experiment: Experiment, plan: QuantizationPlan, folder: Path, cost: float) -> None:
    same(own_price(saved(apply_plan(experiment.model, plan), folder), experiment), cost)


def _with_widths(path: Path, folder: Path) -> None:
    experiment = laid_out(write_config(folder, path, LIMIT, tune_filters="layer"))
    plan = random_plan(experiment, 2)
    _compare(experiment, plan, folder, price(experiment, plan))


def _reason(error: BaseException) -> str:
    """The first line of an error, with its class where that is not qsearch's own."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = re.sub(r"\S*/(\S+?)(:\d+:\d+)?: ", "", text, count=1) if "/" in text.partition(": ")[0] else text
    plain = isinstance(error, AssertionError | TooLong | qsearch.errors.QsearchError)
    return (text if plain else f"{type(error).__name__}: {text}")[:300]


def _kind(failure: str) -> str:
    """A failure without the names and numbers of its model."""
    text = re.sub(r"'[^']*'", "'...'", failure)
    text = re.sub(r"-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?%?|inf\b|nan\b", "#", text)
    text = re.sub(r"classes of [^:]*: .*", "...", text)
    return re.sub(r"\+#|\(#[^)]*\)", "(#)", text)[:140]


def _as_tensorflow(outcome: Outcome, model: keras.Model) -> None:
    outcome.graph_macs = graph_macs(model)
    if outcome.graph_macs is not None and outcome.graph_macs != outcome.macs:
        raise AssertionError(f"{outcome.macs:,} MACs, TensorFlow's graph has {outcome.graph_macs:,}")


def model_files(names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for path in map(Path, names):
        if path.is_dir():
            yield from ((one.stem, one) for one in sorted(path.iterdir()) if one.suffix in ENDINGS)
        else:
            yield path.stem, path


def built(name: str, folder: Path) -> Path:
    """The file of a network of keras.applications."""
    options = {"input_shape": (32, 32, 3), **APPLICATIONS[name]}
    path = folder / f"{name}.keras"
    getattr(keras.applications, name)(weights=None, classes=10, **options).save(path)
    return path


def one(name: str, path: Path | None, arguments: argparse.Namespace) -> Outcome:
    """The outcome of a model; `path` is None for a network of keras.applications."""
    outcome, started = Outcome(name), time.monotonic()
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with at_most(arguments.timeout):
                trials = arguments.trials if path is not None else 0
                file = path.resolve() if path is not None else built(name, Path(folder))
                survey(outcome, file, Path(folder), trials, arguments.widths, arguments.macs)
        except (Exception, TooLong) as error:  # the survey goes on with the next model
            outcome.failures.append(f"survey: {_reason(error)}")
    outcome.seconds = time.monotonic() - started
    gc.collect()
    return outcome


COLUMNS = ("model", "layers", "MACs", "reference pJ", "cheapest pJ", "ratio", "searched", "unsearched", "s", "failed")


def row(outcome: Outcome) -> tuple[str, ...]:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    searched = "-" if outcome.searched is None else f"{outcome.searched}/{outcome.costed}"
    failed = ", ".join(failure.partition(":")[0] for failure in outcome.failures) or "ok"
    return (
        outcome.model,
        number(outcome.layers, "d"),
        number(outcome.macs, ",d"),
        number(outcome.reference, ",.0f"),
        number(outcome.cheapest, ",.0f"),
        number(outcome.ratio, ".2f"),
        searched,
        number(outcome.unsearched, ".1%"),
        f"{outcome.seconds:.1f}",
        failed,
    )


def table(outcomes: Sequence[Outcome]) -> str:
    rows = [COLUMNS, *map(row, outcomes)]
    sizes = [max(len(line[place]) for line in rows) for place in range(len(COLUMNS))]
    left = (0, len(COLUMNS) - 1)
    return "\n".join(
        "  ".join(text.ljust(size) if place in left else text.rjust(size) for place, (text, size) in enumerate(cells))
        for cells in (list(zip(line, sizes, strict=True)) for line in rows)
    )


def write_csv(path: Path, outcomes: Sequence[Outcome]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*asdict(Outcome("")), "ratio"])
        writer.writeheader()
        for outcome in outcomes:
            lists = {"passed": "; ".join(outcome.passed), "failures": " | ".join(outcome.failures)}
            writer.writerow({**asdict(outcome), **lists, "ratio": outcome.ratio})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="model files, or folders of them")
    parser.add_argument("--applications", action="store_true", help="the networks of keras.applications too")
    parser.add_argument("--trials", type=int, default=0, help="of a run with each model; 0: none")
    parser.add_argument("--widths", action="store_true", help="a random plan with other filters too")
    parser.add_argument("--macs", action="store_true", help="compare MACs with TensorFlow's graph")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one model")
    parser.add_argument("--csv", type=Path, help="all outcomes, as a file")
    arguments = parser.parse_args()
    names: list[tuple[str, Path | None]] = list(model_files(arguments.models))
    names += [(name, None) for name in APPLICATIONS if arguments.applications]
    if not names:
        parser.error("no model files")
    print(f"limit: {', '.join(LIMIT)}", flush=True)
    outcomes: list[Outcome] = []
    for name, path in names:
        outcome = one(name, path, arguments)
        outcomes.append(outcome)
        print("  ".join(row(outcome)), flush=True)
        for failure in outcome.failures:
            print(f"    {failure}", flush=True)
        if arguments.csv:
            write_csv(arguments.csv, outcomes)
    print(f"\n{table(outcomes)}\n")
    kinds = Counter(_kind(failure) for outcome in outcomes for failure in outcome.failures)
    for kind, count in kinds.most_common():
        print(f"{count:4d}  {kind}")
    unpriced = Counter(name for outcome in outcomes for name in outcome.unpriced.split())
    if unpriced:
        print("not priced: " + ", ".join(f"{name} in {count}" for name, count in unpriced.most_common()))
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    hidden = sum((outcome.unsearched or 0) >= 0.1 for outcome in outcomes)
    by_check = Counter(failure.partition(":")[0] for outcome in outcomes for failure in outcome.failures)
    told = ", ".join(f"{check} {count}" for check, count in by_check.most_common()) or "none"
    print(
        f"{len(outcomes)} models, {len(outcomes) - failed} without a failure, {failed} with; failures: {told}; "
        f"a tenth or more of the reference's cost not searched: {hidden}; "
        f"{sum(outcome.seconds for outcome in outcomes):.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
