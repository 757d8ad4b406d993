"""A configuration for a model, as a file with comments that a person goes on with: `qsearch init` writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SCHEMA_FILE = "qsearch.schema.json"
"""Beside the configuration, so that the folder can be moved, and is the same for everybody who has it."""


@dataclass(frozen=True, kw_only=True)
class DraftHead:
    """An output of the model.

    Attributes:
        loss: Keras' name of it; logits: whether it is told that the output has logits.
        metric: the one that fits the loss.
        note: what else may be meant; empty where that is certain.
    """

    name: str
    loss: str
    metric: str
    note: str = ""
    logits: bool = False

    def shown_loss(self, as_section: bool) -> str:
        """As YAML."""
        if self.logits:
            return f"{{name: {self.loss}, from_logits: true}}"
        return f"{{name: {self.loss}}}" if as_section else self.loss


@dataclass(frozen=True, kw_only=True)
class DraftTraining:
    """How much is trained.

    Attributes:
        reference: epochs of the reference; trial: of each trial; final: of the winner.
        rate: the learning rate.
        note: why the reference is trained so.
    """

    reference: int
    trial: int
    final: int
    batch_size: int
    rate: float
    note: str


@dataclass(frozen=True, kw_only=True)
class DraftBlock:
    """A pattern of layer names, and what it takes."""

    pattern: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a configuration is made of.

    Attributes:
        title: of what it is, in a line.
        model, data: the keys of `model` and `dataset` with their values as YAML.
        data_notes: lines that say what data are needed.
        limits: by layer class, how many layers have it.
        linear: layers whose sums no activation follows.
        costs: what the reference and the cheapest candidate take, in a line; empty where nobody knows yet.
        possible_budget: one between the two, as YAML.
        blocks: suggested ones; `blockwise` whether they are searched one after the other.
        budget, max_drop: as YAML; None for none.
        target: what models are exported as; None for nothing.
    """

    title: str
    schema: bool
    model: Mapping[str, str]
    data: Mapping[str, str]
    data_notes: Sequence[str]
    heads: Sequence[DraftHead]
    limits: Mapping[str, int]
    linear: Sequence[str]
    training: DraftTraining
    mode: str
    trials: int
    budget: str | None
    max_drop: str | None
    target: str | None
    costs: str = ""
    possible_budget: str = "20nJ"
    blocks: Sequence[DraftBlock] = ()
    blockwise: bool = False

    def text(self) -> str:
        """The file."""
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        if self.schema:
            yield f"# yaml-language-server: $schema={SCHEMA_FILE}"
        yield f"# {comment(self.title)} Written by qsearch init; all keys: docs/configuration_keys.md, qsearch schema."
        yield "dataset:"
        yield from (f"  {key}: {value}" for key, value in self.data.items())
        yield from (f"  # {comment(note)}" if note else "  #" for note in self.data_notes)
        yield "model:"
        yield from (f"  {key}: {value}" for key, value in self.model.items())
        yield from self._reference()
        yield from self._limits()
        yield from self._goal()
        yield from self._run()
        yield from self._end()

    def _reference(self) -> Iterator[str]:
        training = self.training
        yield _noted("reference:", "the unquantized model; trials use its optimizer, loss and metrics too")
        yield f"  optimizer: {{name: adam, learning_rate: {training.rate:g}}}"
        if len(self.heads) == 1:
            yield f"  loss: {self.heads[0].shown_loss(as_section=False)}"
        else:
            yield _noted("  loss:", "of each head")
            # where a head is called `name`, its loss must not look like the name of one loss for all
            sections = any(head.name == "name" for head in self.heads)
            yield from (f"    {quoted(head.name)}: {head.shown_loss(sections)}" for head in self.heads)
        yield f"  metrics: [{self.heads[0].metric}]"
        yield from (f"  # {comment(head.note)}" for head in self.heads if head.note)
        yield _noted(f"  epochs: {training.reference}", training.note)
        yield f"  batch_size: {training.batch_size}"

    def _limits(self) -> Iterator[str]:
        yield _noted("limit:", "[kernel, bias, activation]: most bits, or a list of quantizers")
        for name, count in self.limits.items():
            yield _noted(f"  {name}: {_ENTRIES.get(name, '[8, 8, 8]')}", counted(count))
        if self.linear:
            names = f"{', '.join(self.linear[:4])}{', ...' if len(self.linear) > 4 else ''}"
            yield _noted(f"  {'' if self.target else '# '}linear: [8]", f"sums that no activation follows: {names}")

    def _goal(self) -> Iterator[str]:
        yield _noted("goal:", "score = metric * (1 + delta), delta = 8% for each halving of the energy")
        yield "  type: energy"
        yield "  params:"
        yield _noted("    parameters_on_memory: sram", "fixed | sram | dram")
        yield "    activations_on_memory: sram"
        yield "    rd_wr_on_io: false"
        yield _noted("    source_quantizers: [int8]", "what the model's inputs come as")
        yield _noted("    reference_internal: int8", "what the reference would be built in")
        yield "    reference_accumulator: int32"

    def _run(self) -> Iterator[str]:
        training = self.training
        yield "run:"
        yield _noted(f"  mode: {self.mode}", "random | bayesian | hyperband | guided | pareto | one_shot | learned")
        yield f"  max_trials: {self.trials}"
        yield _noted(f"  epochs: {training.trial}", "of each trial")
        yield f"  batch_size: {training.batch_size}"
        yield _noted(
            "  transfer_weights: true", "trials start from the reference's weights, or those of a trial near them"
        )
        yield _noted("  tune_filters: none", "layer | block: search the widths of layers too")
        if self.costs:
            yield f"  # {comment(self.costs)}"
        yield f"  {'' if self.budget else '# '}budget: {{energy: {self.budget or self.possible_budget}}}"
        yield f"  {'' if self.max_drop else '# '}max_drop: {self.max_drop or '1%'}"
        if self.blocks:
            off = "" if self.blockwise else "# "
            yield _noted(f"  {off}blocks:", "searched one after the other")
            yield from (_noted(f"  {off}  - {quoted(one.pattern)}", one.note) for one in self.blocks)
        if len(self.heads) > 1:
            names = ", ".join(head.name for head in self.heads)
            yield _noted(f"  head_name: {quoted(self.heads[0].name)}", f"whose metrics count: {names}")

    def _end(self) -> Iterator[str]:
        training = self.training
        yield _noted("final_training:", "the winner, trained longer from its trained weights")
        yield f"  optimizer: {{name: adam, learning_rate: {training.rate / 2:g}}}"
        yield f"  epochs: {training.final}"
        yield f"  batch_size: {training.batch_size}"
        if self.target is not None:
            yield _noted(f"target: {self.target}", "search only what it computes exactly")
            yield f"export: [{self.target}]"


_COLUMN = 36


def _noted(line: str, note: str) -> str:
    """A line with what it means behind it."""
    return f"{line:<{_COLUMN - 1}} # {comment(note)}" if note else line


_ENTRIES = {"Activation": "[8]", "BatchNormalization": "[]"}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset({"true", "false", "null", "none", "yes", "no", "on", "off", "y", "n"})


def counted(layers: int) -> str:
    """`1 layer`, `2 layers`."""
    return f"{layers} layer{'' if layers == 1 else 's'}"


def quoted(text: str) -> str:
    """A text as YAML: bare where it can be nothing else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def comment(text: str) -> str:
    """A text of anybody's in one line of comment."""
    return "".join(one if one.isprintable() else " " for one in text)
