"""Compares predicted throughput, TPOT and TTFT with measurements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cluster.catalog.timing_spec import load_timing
from tests.evidence import hardware_accuracy
from tests.evidence.bands import Ratio
from tests.evidence.figures import Miss, summary
from tests.evidence.rows import REPORTS, named_rows
from tests.evidence.throughput_cases import Answer, Planner, Question
from tests.evidence.throughput_rows import Measured, read_measured


@dataclass(frozen=True, slots=True)
class Case:
    """One measured row and the planner's answer."""

    measured: Measured
    answer: Answer

    @property
    def group(self) -> str:
        """The band's class: 'served' for bursts to an HTTP server, else the layout's."""
        return "served" if self.measured.kind == "burst" else self.answer.group

    @property
    def is_steady(self) -> bool:
        """False for conversations sent all at once: their long tail is no steady state and gets no band."""
        return self.measured.kind != "conversations"

    def misses(self) -> Iterator[tuple[str, Miss]]:
        """Yield (figure, prediction and measurement) for each figure of the row."""
        name, estimate = title_of(self.measured.question), self.answer.estimate
        pairs = (
            ("throughput", self._throughput_tokens_per_s(), self.measured.throughput_tokens_per_s),
            ("tpot", estimate.tpot_s.value, self.measured.tpot_s),
            ("ttft", estimate.ttft_s.value, self.measured.ttft_s),
        )
        for figure, predicted, value in pairs:
            if value is not None:
                yield figure, Miss(name, predicted, value)

    def _throughput_tokens_per_s(self) -> float:
        """Return the rate that the row can show: of N requests sent at once the last batch drains while no
        prompts come, which costs half of a request's residence, batch / (2 N) of the steady time."""
        steady, request = self.answer.estimate.throughput_tokens_per_s.value, self.measured.question.request
        if self.measured.kind != "burst" or request.concurrency is None:
            return steady
        return steady / (1.0 + self.answer.estimate.batch / (2.0 * request.concurrency))


def title_of(question: Question) -> str:
    """Return a question's title in the tables."""
    model, request = question.model.rsplit("/", 1)[-1], question.request
    setup = f"{model} {question.dtype} {question.engine} {question.layout.label} on {question.gpu}"
    return f"{question.name} {setup}, {request.input_tokens}/{request.output_tokens}"


@lru_cache(maxsize=4)
def read_cases(folder: Path) -> tuple[tuple[Case, ...], tuple[tuple[str, int], ...]]:
    """Return the rows that can be compared, and (reason, count) of those that cannot."""
    planner, cases, left_out = Planner(folder), [], Counter[str]()
    for name, row in named_rows(folder, "throughput*.jsonl", REPORTS):
        measured = read_measured(name.split(" ", 1)[0], row, planner.conversations)
        if isinstance(measured, str):
            left_out[measured] += 1
            continue
        question = measured.question
        if "config" in row:
            planner.learn(question.model, row["config"])
        answer = planner.answer(question)
        if answer is None:
            left_out[f"no config known for {question.model}"] += 1
        else:
            cases.append(Case(measured, answer))
    return tuple(cases), tuple(left_out.most_common())


def section(folder: Path) -> list[str]:
    """Return the lines of the accuracy table for time."""
    cases, left_out = read_cases(folder)
    lines = ["Time: TTFT, TPOT, throughput"]
    for title, figure, kinds, group in _TABLE:
        chosen = [
            case for case in cases if case.measured.kind in kinds and group in (None, case.answer.group)
        ]
        misses = [_shown(miss, figure) for case in chosen for name, miss in case.misses() if name == figure]
        if misses:
            lines += summary(title, misses, "tokens/s" if figure == "throughput" else "ms", relative=True)
    lines += _coverage_lines(cases)
    lines += hardware_accuracy.lines(folder)
    lines += [f"left out, {number} rows: {reason}" for reason, number in left_out]
    return lines


def _shown(miss: Miss, figure: str) -> Miss:
    scale = 1.0 if figure == "throughput" else 1e3
    return Miss(miss.name, miss.predicted * scale, miss.measured * scale)


_TABLE: tuple[tuple[str, str, tuple[str, ...], str | None], ...] = (
    ("maximum throughput, all", "throughput", ("offline",), None),
    ("maximum throughput, dense", "throughput", ("offline",), "dense"),
    ("maximum throughput, experts", "throughput", ("offline",), "experts"),
    ("maximum throughput, pipelined", "throughput", ("offline",), "pipelined"),
    ("speed at batch 1", "throughput", ("batch 1",), None),
    ("TPOT at a request rate", "tpot", ("rate",), None),
    ("TTFT at a request rate", "ttft", ("rate",), None),
    ("served bursts of equal lengths, throughput", "throughput", ("burst",), None),
    ("served bursts of equal lengths, TPOT", "tpot", ("burst",), None),
    ("served at a fixed concurrency, throughput", "throughput", ("steady",), None),
    ("served at a fixed concurrency, TPOT", "tpot", ("steady",), None),
    ("conversations all at once (not steady)", "throughput", ("conversations",), None),
)


def ratios(cases: tuple[Case, ...]) -> list[Ratio]:
    """Return measured over predicted for every figure, by the class whose band it belongs to."""
    return [
        Ratio(case.group, figure, miss.measured / miss.predicted)
        for case in cases
        if case.is_steady
        for figure, miss in case.misses()
    ]


def _coverage_lines(cases: tuple[Case, ...]) -> list[str]:
    bands, inside = load_timing().bands, Counter[bool]()
    for ratio in ratios(cases):
        limits = bands[ratio.group][ratio.figure]
        inside[limits.low <= ratio.value <= limits.high] += 1
    if not inside:
        return []
    return [
        f"{'measurements inside their band':<44} n={inside.total():<3} {inside[True] / inside.total():.0%}"
    ]
