"""The search modes, a record each: what depends on the mode asks its record, and never compares names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SearchMode:
    """One way to search.

    Attributes:
        meaning: in a line, for people.
        options: keys of `run` that only this mode, or a few with it, read.
        transfers: whether trials start from trained weights, where the configuration leaves that open.
        whole_front: whether all trade-offs between metric and cost are wanted, and not the best score alone.
        continues: whether the training of a trial may go on in a later one; then the mode says how many trials there
            are, and how long each is.
        trains: whether trials are trained; else each is the reference quantized, its batch statistics taken anew.
        shares: whether weights that all plans share are trained first, which rank plans.
        learns: whether these are trained with all options mixed, and plans are what their probabilities come to.
        starts: whether `run.start` says which plans come first.
    """

    name: str
    meaning: str = ""
    options: tuple[str, ...] = ()
    transfers: bool = False
    whole_front: bool = False
    continues: bool = False
    trains: bool = True
    shares: bool = False
    learns: bool = False
    starts: bool = False


SEARCH_MODES: Mapping[str, SearchMode] = {
    mode.name: mode
    for mode in (
        SearchMode(name="random", meaning="uniform choices"),
        SearchMode(
            name="bayesian",
            meaning="choices of a Gaussian process of the scores so far",
            options=("num_initial_points", "alpha", "beta"),
        ),
        SearchMode(
            name="hyperband",
            meaning="many trials of few epochs, of which the best go on to more",
            options=("max_epochs", "factor", "hyperband_iterations"),
            continues=True,
        ),
        SearchMode(
            name="guided",
            meaning="children of the best trials, from their trained weights, ranked by the score that they promise",
            transfers=True,
            starts=True,
        ),
        SearchMode(
            name="pareto",
            meaning="the same for the whole trade-off of metric and cost; every model of the front is saved",
            transfers=True,
            whole_front=True,
            starts=True,
        ),
        SearchMode(
            name="sensitivity",
            meaning="no trial is trained: what each choice costs alone is measured, and the best sums are evaluated",
            transfers=True,
            whole_front=True,
            trains=False,
        ),
        SearchMode(
            name="one_shot",
            meaning="weights that all plans share are trained once and rank plans; the most promising are fine-tuned",
            options=("shared_epochs", "shared_plans", "shared_trials"),
            transfers=True,
            whole_front=True,
            shares=True,
        ),
        SearchMode(
            name="learned",
            meaning="one model of all options mixed learns which are taken, at a falling energy; its plans are trials",
            options=("learned_epochs", "shared_trials"),
            transfers=True,
            whole_front=True,
            shares=True,
            learns=True,
        ),
    )
}
MODES = tuple(SEARCH_MODES)
SHARED_EPOCHS, SHARED_PLANS = 30, 300
"""Of mode one_shot where the configuration leaves them open: epochs of the shared weights, plans that are ranked."""
LEARNED_EPOCHS = 60
"""Of the mixed model of mode learned where the configuration leaves them open."""
