"""Algorithms are asked and told by the number of the trial, and several proposals may be open."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_search import accuracy, listed, price, ranking, space

from qsearch.config.schema import RunConfig
from qsearch.config.search_modes import MODES
from qsearch.goal.target import Target
from qsearch.search.candidates import Candidate, Candidates
from qsearch.search.guide import Guide
from qsearch.search.modes import SearchSetting, proposer
from qsearch.search.proposals import Feedback, Proposal, Proposer
from qsearch.search.space import SearchSpace


def made(mode: str, folder: Path, searched: SearchSpace | None = None) -> Proposer:
    candidates = Candidates(searched or space(layers=2), price)

    def guide() -> Guide:
        whole = mode == "pareto"
        return Guide(candidates=candidates, target=Target("val_acc"), seed=5, first=4, whole_front=whole, dearest=64.0)

    run = RunConfig(mode=mode, max_trials=20, max_epochs=9 if mode == "hyperband" else None)
    ranked = ranking(candidates, Target("val_acc"), 10) if run.search_mode.shares else None
    setting = SearchSetting(
        candidates=candidates,
        run=run,
        trials=20,
        seed=5,
        folder=folder,
        guide=guide,
        ladder=lambda: listed(candidates.space),
        ranking=ranked,
    )
    return proposer(setting)


def feedback(number: int, proposal: Proposal) -> Feedback:
    candidate = proposal.candidate
    assert isinstance(candidate, Candidate)
    metric = accuracy(proposal.plan)
    return Feedback(trial=number, completed=True, score=metric * (1 + candidate.price.delta), worth=metric)


@pytest.mark.parametrize("mode", MODES)
def test_asked_again_it_says_the_same(mode: str, tmp_path: Path) -> None:
    algorithm = made(mode, tmp_path)
    for number in range(1, 8):
        proposal = algorithm.ask(number)
        assert proposal is not None
        assert algorithm.ask(number) is proposal
        algorithm.tell(number, feedback(number, proposal))


@pytest.mark.parametrize("mode", MODES)
def test_several_are_open_and_told_in_any_order(mode: str, tmp_path: Path) -> None:
    algorithm, number, plans = made(mode, tmp_path), 0, []
    for _ in range(4):
        opened: dict[int, Proposal] = {}
        for _ in range(3):
            number += 1
            proposal = algorithm.ask(number)
            if proposal is None:  # nothing before one of the open ones is told
                assert opened
                break
            opened[number] = proposal
        for told in sorted(opened, reverse=True):
            algorithm.tell(told, feedback(told, opened[told]))
        plans += [(proposal.candidate.identity, proposal.epochs) for proposal in opened.values()]
    assert len(plans) >= 8
    if mode != "random":  # which may repeat a plan by another set of values
        assert len({*plans}) == len(plans)


def test_a_guide_changes_nothing_before_it_is_told(tmp_path: Path) -> None:
    guide = made("guided", tmp_path)
    assert isinstance(guide, Guide)
    for number in range(1, 10):
        first, second = guide.suggest(), guide.suggest()
        assert first is not None
        assert first == second
        assert guide.ask(number) == first
        assert guide.suggest() != first  # while it is open
        guide.tell(number, feedback(number, first))


def test_a_guide_in_another_process_goes_on_alike(tmp_path: Path) -> None:
    """What it suggests depends on what it was told, and on nothing else."""
    one, other = made("guided", tmp_path / "a"), made("guided", tmp_path / "b")
    history = []
    for number in range(1, 9):
        proposal = one.ask(number)
        assert proposal is not None
        one.tell(number, feedback(number, proposal))
        history.append(proposal)
    for number, proposal in enumerate(history, 1):
        assert other.ask(number) == proposal
        other.tell(number, feedback(number, proposal))
    assert one.ask(9) == other.ask(9)


def test_weights_of_parents_of_open_proposals_are_kept(tmp_path: Path) -> None:
    guide = made("guided", tmp_path)
    for number in range(1, 7):
        proposal = guide.ask(number)
        assert proposal is not None
        guide.tell(number, feedback(number, proposal))
    proposal = guide.ask(7)
    assert proposal is not None
    assert proposal.parent is not None
    assert proposal.parent in guide.continues()


def test_hyperband_waits_for_the_trials_that_it_promotes_from(tmp_path: Path) -> None:
    algorithm = made("hyperband", tmp_path)
    opened: dict[int, Proposal] = {}
    while (proposal := algorithm.ask(len(opened) + 1)) is not None:
        opened[len(opened) + 1] = proposal
    assert all(proposal.first_epoch == 0 for proposal in opened.values())
    for number, proposal in opened.items():
        algorithm.tell(number, feedback(number, proposal))
    promoted = algorithm.ask(len(opened) + 1)
    assert promoted is not None
    assert promoted.first_epoch > 0
    assert promoted.parent in opened
