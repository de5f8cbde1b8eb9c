"""Chooses the measured rows to rank against each other, and scores the planner on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.planner.layout import Layout
from tests.evidence.ranking import Ranked, Score, score
from tests.evidence.throughput_accuracy import Case, read_cases, title_of

SERVED = ("offline", "burst", "conversations")


@dataclass(frozen=True, slots=True)
class Contest:
    """One class of comparisons among rows of the same model, GPU type and workload."""

    title: str
    kinds: tuple[str, ...]
    shared: tuple[str, ...]
    """What else the rows share: 'engine', 'dtype', 'layout', 'gpus'."""
    differ: str
    """What they must differ in."""
    per_gpu: bool = False


LAYOUTS_PER_GPU = Contest("layouts by throughput per GPU", SERVED, ("engine", "dtype"), "layout", True)
LAYOUTS_IN_ALL = Contest("layouts by throughput in all", SERVED, ("engine", "dtype"), "layout")
SAME_GPUS = Contest("layouts of as many GPUs", SERVED, ("engine", "dtype", "gpus"), "layout")
LAYOUTS_AT_BATCH_1 = Contest("layouts by speed at batch 1", ("batch 1",), ("engine", "dtype"), "layout")
CHECKPOINTS = Contest("checkpoints of a model at batch 1", ("batch 1",), ("engine", "layout"), "dtype")
ENGINES = Contest("engines with the same layout", SERVED, ("dtype", "layout"), "engine")
CONTESTS = (LAYOUTS_PER_GPU, LAYOUTS_IN_ALL, SAME_GPUS, LAYOUTS_AT_BATCH_1, CHECKPOINTS, ENGINES)


def section(folder: Path) -> list[str]:
    """Return the lines of the ranking tables."""
    cases = read_cases(folder)[0]
    found = [line for contest in CONTESTS for line in _lines(contest.title, compare(contest, cases))]
    return ["Pairs measured side by side: the faster one ranked first", *found]


def compare(contest: Contest, cases: Sequence[Case]) -> Score:
    """Return how many clear pairs of a contest the planner ranks in the measured order."""
    return score(_entries(contest, cases))


def _entries(contest: Contest, cases: Sequence[Case]) -> Iterator[Ranked]:
    for case in cases:
        question, rate = case.measured.question, case.measured.throughput_tokens_per_s
        if case.measured.kind not in contest.kinds or rate is None:
            continue
        facts = _facts(case)
        layout: Layout = question.layout
        parts = layout.gpus if contest.per_gpu else 1
        yield Ranked(
            name=title_of(question),
            contest=(case.measured.kind, *(facts[name] for name in ("workload", "gpu", *contest.shared))),
            gpus_per_replica=layout.gpus_per_replica,
            measured=rate / parts,
            predicted=case.answer.estimate.throughput_tokens_per_s.value / parts,
            side=facts[contest.differ],
        )


def _facts(case: Case) -> dict[str, object]:
    question = case.measured.question
    request, model = question.request, question.model.rsplit("/", 1)[-1]
    lengths = (request.input_tokens, request.output_tokens, request.concurrency)
    if case.measured.kind == "conversations":
        lengths = (0, 0, request.concurrency)  # the same recorded conversations, whatever each engine counted
    return {
        # Checkpoints of one model differ at the end of their names.
        "workload": (model.removesuffix(f"-{question.dtype}"), *lengths),
        "gpu": question.gpu,
        "engine": question.engine,
        "dtype": question.dtype,
        "layout": question.layout,
        "gpus": question.layout.gpus,
    }


def _lines(title: str, result: Score) -> list[str]:
    if not result.pairs:
        return [f"{title:<44} no clear pairs, {result.draws} draws"]
    share, naive = result.right / result.pairs, result.fewest_gpus_right / result.pairs
    text = f"n={result.pairs:<3} right {share:.0%}; 'fewest GPUs per replica' {naive:.0%}"
    return [f"{title:<44} {text}; {result.draws} draws", *(f"    wrong: {one}" for one in result.wrong[:3])]
