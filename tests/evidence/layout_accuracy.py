"""Compares the planner's choice with those of MLPerf submitters, NIM and measured sweeps."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cluster.cluster_spec import parse_cluster_spec
from cluster.planner.plan import plan
from cluster.planner.result import Candidate, Plan
from cluster.planner.search.ranking import SAME, benefit
from tests.evidence.figures import Miss, summary
from tests.evidence.published import Publications, Published
from tests.evidence.rows import read_rows
from tests.evidence.throughput_cases import Planner


@dataclass(frozen=True, slots=True)
class Choice:
    """A published layout and the planner's."""

    published: Published
    recommended: Candidate | None
    same: Candidate | None
    """The planner's candidate with the published degrees, if it is among the best."""

    @property
    def agrees(self) -> bool:
        return self.recommended is not None and _has_degrees(self.recommended, self.published)

    @property
    def published_gain(self) -> float | None:
        """How much higher the published layout is estimated than the planner's; None without an estimate."""
        if self.same is None or self.recommended is None:
            return None
        request = self.published.request
        return benefit(self.same, request) / max(1e-12, benefit(self.recommended, request)) - 1

    @property
    def is_near(self) -> bool:
        """Whether the published layout is the planner's, or estimated as equally good."""
        gain = self.published_gain
        return self.agrees or (gain is not None and gain >= -SAME)

    @property
    def beside_ours(self) -> str:
        gain = self.published_gain
        return "" if gain is None else f" (estimated {gain:+.0%})"


def section(folder: Path) -> list[str]:
    """Return the lines of the agreement table."""
    choices, left_out = read_choices(folder)
    lines = ["Layouts: agreement with published choices"]
    for kind in dict.fromkeys(choice.published.kind for choice in choices):
        lines += _agreement([choice for choice in choices if choice.published.kind == kind], kind)
    lines += _agreement(list(choices), "all published layouts")[:1]
    lines += summary("MLPerf Offline, throughput (not fitted)", list(_offline(choices)), "tokens/s", True)
    return lines + [f"left out, {number} rows: {reason}" for reason, number in left_out]


@lru_cache(maxsize=4)
def read_choices(folder: Path) -> tuple[tuple[Choice, ...], tuple[tuple[str, int], ...]]:
    """Return every published layout with the planner's answer, and (reason, number) of rows left out."""
    planner, publications = Planner(folder), Publications(folder)
    plans: dict[str, Plan | None] = {}
    choices, left_out = [], Counter[str]()
    for row in read_rows(folder, "published_layouts.jsonl"):
        published = publications.read(row)
        if isinstance(published, str):
            left_out[published] += 1
            continue
        if published.title not in plans:
            plans[published.title] = _plan(planner, published)
        answer = plans[published.title]
        if answer is None:
            left_out[f"no config known for {published.model}"] += 1
        else:
            same = (c for c in answer.candidates if c.feasible and _has_degrees(c, published))
            choices.append(Choice(published, answer.recommended, next(same, None)))
    return tuple(choices), tuple(left_out.most_common())


def _plan(planner: Planner, published: Published) -> Plan | None:
    model = planner.model(published.model, published.engine, published.dtype)
    if model is None:
        return None
    return plan(parse_cluster_spec(published.cluster_spec), model, published.request)


def _has_degrees(candidate: Candidate, published: Published) -> bool:
    """Whether a replica uses as many GPUs; TP ranks of MoE models may run as attention-DP ranks."""
    layout = candidate.layout
    width = layout.ep if layout.dp_attention else layout.tp
    return (width, layout.pp) == (published.tp, published.pp)


def _agreement(choices: list[Choice], title: str) -> list[str]:
    right = sum(choice.agrees for choice in choices)
    near = sum(choice.is_near for choice in choices)
    number = max(1, len(choices))
    lines = [
        f"{title:<44} n={len(choices):<3} same TP and PP {right / number:.0%}; "
        f"that, or estimated within {SAME:.0%} of it {near / number:.0%}"
    ]
    wrong: dict[str, int] = defaultdict(int)
    for choice in choices:
        if not choice.agrees:
            ours = choice.recommended.label if choice.recommended else "nothing fits"
            published = choice.published
            wrong[
                f"{published.title}: published TP={published.tp} PP={published.pp}"
                f"{choice.beside_ours}, ours {ours}"
            ] += 1
    return lines + [f"    {text} ({number} rows)" for text, number in wrong.items()]


def _offline(choices: tuple[Choice, ...]) -> list[Miss]:
    return [
        Miss(
            choice.published.title,
            choice.same.estimate.throughput_tokens_per_s.value,
            choice.published.measured_tokens_per_s,
        )
        for choice in choices
        if choice.published.kind == "MLPerf Offline"
        and choice.published.measured_tokens_per_s
        and choice.same is not None
        and choice.same.estimate is not None
    ]
