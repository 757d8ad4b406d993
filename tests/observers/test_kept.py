"""What TensorBoard, MLflow and Optuna read of a run, by their own readers; each trial once, whoever was killed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hand_made import REFERENCE, completed, failed, skipped, start

from qsearch.observers.each_once import EachOnce
from qsearch.runs.figures import Evaluation
from qsearch.search.trials import AnyTrial

FIGURES = Evaluation(selection={"acc": 0.99, "loss": 0.1}, test={"acc": 0.98, "loss": math.nan}, parameters=9)
FIRST = (completed(1), failed(2), skipped(3), completed(4, 0.8, 100.0))
ALL = (*FIRST, completed(5), completed(6))


def tell(observer: EachOnce, folder: Path, known: Iterable[AnyTrial], trials: Iterable[AnyTrial], **sets: Any) -> None:
    """A process of a run: the trials that it knows, and those that it makes."""
    observer.run_started(start(folder, known, **sets))
    observer.reference_evaluated(FIGURES)
    for trial in trials:
        if trial.status != "skipped":
            observer.trial_started(trial.number, trial.proposal, 1, 20)
            observer.epoch_ended(1, 10, {"val_acc": 0.3, "loss": math.nan}, trial.number)
        observer.trial_ended(trial, None, 1, 20)


def killed_and_gone_on(made: type[EachOnce], folder: Path, **sets: Any) -> None:
    """The first process is killed behind trial 4, of which only the journal knows; the second trains 1 again."""
    tell(made(), folder, (), FIRST[:3], **sets)
    tell(made(), folder, FIRST, (completed(1), *ALL[4:]), **sets)


@pytest.mark.extras
def test_optuna(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    from qsearch.observers.optuna import JOURNAL, OptunaObserver

    def study() -> Any:
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / JOURNAL)))
        return optuna.load_study(study_name="qsearch", storage=storage)

    killed_and_gone_on(OptunaObserver, tmp_path)
    trials = study().trials
    assert [trial.user_attrs["trial"] for trial in trials] == [1, 2, 3, 4, 5, 6]
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "PRUNED", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert study().direction.name == "MAXIMIZE"
    assert trials[3].value == pytest.approx(0.8 * 1.25)
    assert trials[3].params == {"dense_kernel": "ternary", "filters^a|b$": 1.0}
    assert trials[3].distributions["dense_kernel"].choices == ("quantized_bits(4,0,1)", "ternary", "binary")
    assert trials[3].intermediate_values[10] == pytest.approx(0.8)
    assert len(trials[3].intermediate_values) == 10
    assert trials[3].user_attrs["energy"] == 100.0
    assert trials[2].user_attrs["reason"] == "too dear"


@pytest.mark.extras
def test_optuna_has_both_goals_of_a_front(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    from qsearch.observers.optuna import JOURNAL, OptunaObserver

    killed_and_gone_on(OptunaObserver, tmp_path, sets=["run.mode=pareto"])
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / JOURNAL)))
    study = optuna.load_study(study_name="qsearch", storage=storage)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert sorted(trial.values for trial in study.best_trials)[0] == [0.8, 100.0]
    assert len(study.trials) == 6


@pytest.mark.extras
def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.plugins.hparams import metadata

    from qsearch.observers.tensorboard import TensorBoardObserver

    killed_and_gone_on(TensorBoardObserver, tmp_path)
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "tensorboard")).Reload()
    assert {*runs.Runs()} == {".", "reference", *(f"trial_{number}" for number in (1, 2, 4, 5, 6))}
    for number, energy in ((1, 200.0), (4, 100.0)):
        assert [event.value for event in runs.Scalars(f"trial_{number}", "energy_pj")] == [energy]
    assert runs.Scalars("trial_4", "times_less_energy")[0].value == pytest.approx(REFERENCE / 100)
    assert [event.step for event in runs.Scalars("trial_4", "epoch/val_acc")] == [*range(1, 11)]  # from the journal
    assert [event.step for event in runs.Scalars("trial_5", "epoch/val_acc")] == [1]  # as it was told
    start_of = metadata.parse_session_start_info_plugin_data
    data = runs.SummaryMetadata("trial_4", metadata.SESSION_START_INFO_TAG).plugin_data.content
    assert start_of(data).hparams["dense_kernel"].string_value == "ternary"
    assert start_of(data).hparams["filters^a|b$"].number_value == 1.0
    experiment = runs.SummaryMetadata(".", metadata.EXPERIMENT_TAG).plugin_data.content
    found = metadata.parse_experiment_plugin_data(experiment)
    assert [len(info.domain_discrete) for info in found.hparam_infos] == [3, 3]


@pytest.mark.extras
def test_tensorboard_goes_on_in_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch that was told and not saved is told again; a second execution of a trial is left out."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.summary.writer import event_file_writer

    from qsearch.observers.tensorboard import TensorBoardObserver

    for seconds, epochs in enumerate(([1, 2, 3, 4], [*range(3, 11), 1, 2])):
        # its files are read in the order of the seconds in their names
        monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda at=seconds: 1e9 + at))
        observer = TensorBoardObserver()
        observer.run_started(start(tmp_path))
        for epoch in epochs:
            observer.epoch_ended(epoch, 10, {"val_acc": epoch / 10}, 1)
        observer.run_ended(None)
    read = EventAccumulator(str(tmp_path / "tensorboard" / "trial_1")).Reload()
    assert [event.step for event in read.Scalars("epoch/val_acc")] == [*range(1, 11)]


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")  # of what its store in a file is made with
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from qsearch.observers.mlflow import STORE, MLflowObserver

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    killed_and_gone_on(MLflowObserver, tmp_path)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / STORE}")
    runs = client.search_runs([client.get_experiment_by_name("qsearch").experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    nested = {int(run.data.tags["qsearch.trial"]): run for run in runs if run is not parent}
    assert len(runs) == 6
    assert {number: run.info.status for number, run in nested.items()} == {
        1: "FINISHED", 2: "FAILED", 4: "FINISHED", 5: "FINISHED", 6: "FINISHED"}  # fmt: skip
    assert parent.info.status == "RUNNING"
    assert parent.data.params["mode"] == "guided"
    assert parent.data.metrics["reference_test_acc"] == 0.98
    assert nested[4].data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert nested[4].data.params == {"dense_kernel": "ternary", "filters_a_b_": "1.0"}
    assert nested[4].data.metrics["energy_pj"] == 100.0
    curve = client.get_metric_history(nested[4].info.run_id, "epoch_val_acc")
    assert [point.step for point in curve] == [*range(1, 11)]
    client.create_run(parent.info.experiment_id, tags={"mlflow.parentRunId": parent.info.run_id, "qsearch.trial": "7"})
    observer = MLflowObserver()  # which comes behind one that was killed in the middle of trial 7
    tell(observer, tmp_path, (*ALL, completed(7)), ())
    runs = client.search_runs([parent.info.experiment_id], "tags.`qsearch.trial` = '7'")
    assert [run.info.status for run in runs] == ["FINISHED"]
    observer.run_ended(None)
    assert client.get_run(parent.info.run_id).info.status == "FAILED"


@pytest.mark.extras
def test_mlflow_needs_an_address_or_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from qsearch.errors import ConfigError
    from qsearch.observers import mlflow as module

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"neither tracking_uri nor MLFLOW_TRACKING_URI .*pip install sqlalchemy"):
        module.MLflowObserver()
    module.MLflowObserver(tracking_uri="http://localhost:1")  # which is not asked before a run starts
