"""What a configuration may say, and probably does not mean: told at the start and in the report, and no error."""

from __future__ import annotations

from collections.abc import Iterator

from qsearch.config.goals import BitsGoalConfig, EnergyParams
from qsearch.config.keras_options import SHORT
from qsearch.config.limits import GROUPS
from qsearch.config.load import LoadedConfig
from qsearch.config.names import METRICS
from qsearch.config.schedules import ScheduleConfig
from qsearch.config.schema import Config
from qsearch.config.yaml_source import Path
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.spec import parse

Remark = tuple[Path, str]


def remarks(loaded: LoadedConfig) -> list[str]:
    """A line each, with its place."""
    found = _found(loaded.config)
    return [str(loaded.source.problem(path, text)) for path, text in [*found, *_bits(loaded)]]


def _found(config: Config) -> Iterator[Remark]:
    yield from _direction(config)
    yield from _schedules(config)
    yield from _goal(config)
    yield from _training(config)
    yield from _search(config)


def _direction(config: Config) -> Iterator[Remark]:
    reference = config.reference
    target = config.run.score_metric or reference.metrics[0]
    usual, _ = METRICS.get(SHORT.get(target.name, target.name), METRICS.get(target.name, (None, None)))
    if usual is not None and reference.direction not in (None, usual):
        more, least = ("more", "the worst") if usual == "max" else ("less", "the worst")
        yield (
            ("reference", "direction"),
            f"found {reference.direction}; of {target} {more} is better, so that the search is for {least} models; "
            "leave it out unless that is meant",
        )


def _schedules(config: Config) -> Iterator[Remark]:
    final = config.final_training
    longest = config.run.max_epochs or config.run.epochs
    sections: list[tuple[str, ScheduleConfig, int]] = [
        ("reference", config.reference.learning_rate_schedule, config.reference.epochs),
        ("run", config.run.learning_rate_schedule, longest),
    ]
    if final is not None:
        sections.append(("final_training", final.learning_rate_schedule, final.epochs))
    for section, schedule, epochs in sections:
        place = (section, "learning_rate_schedule")
        late = [boundary for boundary in schedule.boundaries or () if boundary >= epochs]
        if epochs and late:
            yield (
                (*place, "boundaries"),
                f"found {late[0]}, of {epochs} epochs: the rates behind it are never reached",
            )
        if epochs and schedule.name == "reduce_on_plateau" and (schedule.patience or 10) >= epochs:
            yield (
                (*place, "patience") if schedule.patience else place,
                f"found {schedule.patience or 10}, of {epochs} epochs: the rate never falls",
            )


def _goal(config: Config) -> Iterator[Remark]:
    goal = config.goal
    params: Path = ("goal", "params")
    if goal.params.delta_p == 0 and goal.params.delta_n == 0:
        yield params, "delta_p and delta_n are 0: costs do not count, and the search is for the best metric alone"
    if isinstance(goal.params, EnergyParams):
        own, process = goal.params.own_process, goal.params.process
        if own is not None and process not in ("horowitz", own.based_on):
            yield (*params, "process"), f"found {process}; own_process is used, which is based on {own.based_on}"
    elif isinstance(goal, BitsGoalConfig) and "default" not in goal.params.config:
        lone = [
            name
            for name, counted in goal.params.config.items()
            if counted and not name.startswith("Q") and f"Q{name}" not in goal.params.config and name != "InputLayer"
        ]
        if lone:
            yield (
                (*params, "config"),
                f"counts {lone[0]} and not Q{lone[0]}: a layer costs nothing as soon as it is quantized; give both",
            )


def _training(config: Config) -> Iterator[Remark]:
    reference, final = config.reference, config.final_training
    if final is not None and not final.epochs:
        yield ("final_training",), "epochs is 0: the best model is not trained further"
    if not reference.epochs and config.model.path is None:
        yield (
            ("reference", "epochs"),
            "found 0: the reference keeps its first weights, so that its metric, and what max_drop and the report "
            "compare with it, say nothing; 0 is for a model.path with trained weights",
        )
    if config.model.name is not None and config.model.custom_objects:
        yield ("model", "custom_objects"), f"not used: {config.model.name} has no classes of your own"


def _search(config: Config) -> Iterator[Remark]:
    run = config.run
    drawn = run.num_initial_points if "num_initial_points" in run.search_mode.options else None
    if drawn is not None and drawn >= run.extent.trials:
        yield (
            ("run", "num_initial_points"),
            f"found {drawn}, of {run.extent.trials} trials: all are drawn at random",
        )
    if not run.search_mode.continues and run.best_models > run.extent.trials and not run.blocks:
        yield ("run", "best_models"), f"found {run.best_models}, of {run.extent.trials} trials: all are kept"
    if run.tune_filters == "none" and run.tune_filters_exceptions is not None:
        yield ("run", "tune_filters_exceptions"), "not used: run.tune_filters is none"
    rates = run.block_learning_rates
    if run.blocks and rates.current == 0:
        yield (
            ("run", "block_learning_rates", "current"),
            "found 0: the block that is searched is not trained",
        )


def _bits(loaded: LoadedConfig) -> Iterator[Remark]:
    """Bits that a file states for a quantizer and that are not its own: limits compare what is stated."""
    quantizers = loaded.config.quantization_config
    for group in GROUPS:
        texts = (loaded.source.data.get("quantization_config") or {}).get(group) or {}
        for text in texts:
            spec = parse(text)
            stated, own = quantizers.group(group)[spec], number_format(spec).bits
            if stated != own:
                yield (
                    ("quantization_config", group, text),
                    f"found {stated}, and it has {own} bits; limits compare what is stated here",
                )
