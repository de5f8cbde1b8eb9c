"""`f` plans again with what fixes the highlighted layout."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.inventory import Cluster
from cluster.planner.fixes.fix import Fix
from cluster.planner.layout import Layout
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from tests.tui.builders import make_cluster, make_plan
from tests.tui.conftest import make_app, opened, screen_text, settle
from tui.fixes import applicable_fixes, fixed_candidate
from tui.planner.by_name import plan_with_catalog
from tui.screens.fix_picker import FixPicker
from tui.workload import form_values, options_set, request_from_form


class Remembering:
    """A planner that keeps what it was asked."""

    def __init__(self, plan: Any) -> None:
        self._plan, self.requests = plan, list[PlanRequest]()

    def __call__(self, cluster: Cluster, model: str, request: PlanRequest) -> Plan:
        self.requests.append(request)
        plan: Plan = self._plan(cluster, model, request)
        return plan


async def highlight(app: Any, pilot: Any, label: str) -> Candidate:
    """Move down to a layout."""
    for _ in range(30):
        candidate: Candidate | None = app.screen.panels.candidate
        if candidate is not None and candidate.label == label:
            return candidate
        await pilot.press("down")
        await pilot.pause()
    raise AssertionError(f"no {label} in the list")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_fix_is_chosen_applied_and_shown(size: tuple[int, int]) -> None:
    ask = Remembering(plan_with_catalog)
    app = make_app(plan=ask, models=("meta-llama/Llama-3.1-70B-Instruct",))
    async with opened(app, size) as pilot:
        refused = await highlight(app, pilot, "PP=2")
        fixes = applicable_fixes(refused, PlanRequest())
        assert len(fixes) > 1
        await pilot.press("f")
        await pilot.pause()
        assert isinstance(app.screen, FixPicker)
        text = screen_text(app)
        assert "Fixes for PP=2" in text and "--max-model-len" in text
        await pilot.press("enter")
        await settle(pilot)
        assert ask.requests[-1] == fixes[0].asked(PlanRequest())
        chosen = app.screen.panels.candidate
        assert chosen.feasible and (chosen.layout.tp, chosen.layout.pp) == (1, 2)
        length = dict(fixes[0].options)["max_model_len"]
        assert f"length {length:,}" in screen_text(app)


async def test_the_workload_form_takes_a_fix_back() -> None:
    ask = Remembering(make_plan)
    app = make_app(plan=ask)
    async with opened(app) as pilot:
        await highlight(app, pilot, "TP=2, DP=4")
        await pilot.press("f", "down", "enter")
        await settle(pilot)
        assert ask.requests[-1].max_model_len == 6144
        await pilot.press("w", "down", "down", "down", *["backspace"] * 6, "enter")
        await settle(pilot)
        assert ask.requests[-1] == ask.requests[0]


async def test_escape_keeps_the_plan_and_a_feasible_layout_has_nothing_to_fix() -> None:
    ask = Remembering(make_plan)
    app = make_app(plan=ask)
    async with opened(app) as pilot:
        await pilot.press("f")
        await pilot.pause()
        assert "there is nothing to fix" in screen_text(app)
        await highlight(app, pilot, "TP=8")
        await pilot.press("f", "escape")
        await settle(pilot)
        assert len(ask.requests) == 1


async def test_degrees_are_pinned_where_the_fix_is_a_layout() -> None:
    ask = Remembering(make_plan)
    app = make_app(plan=ask)
    async with opened(app) as pilot:
        await highlight(app, pilot, "TP=8")
        await pilot.press("f", "enter")
        await settle(pilot)
        assert ask.requests[-1].pins == {"tp": 4, "pp": 1}
        assert app.screen.panels.candidate.label == "TP=4, DP=2"
        assert "pinned TP=4 PP=1" in screen_text(app)


FIXES = (
    Fix(layout=Layout(tp=4)),
    Fix.of(kv_cache_dtype="fp8"),
    Fix.of(enforce_eager=True),
    Fix.of(gpu_memory_utilization=0.95),
    Fix.of(max_num_seqs=64, max_num_batched_tokens=2048),
    Fix.of(dtype="fp16"),
    Fix.of(decode_context_parallel=2),
    Fix.of(kv_cache_memory_bytes=40 * 1024**3),
    Fix.of(engine_version="0.11.0"),
    Fix.of(engine="sglang", engine_version=None),
)


@pytest.mark.parametrize("fix", FIXES, ids=str)
def test_every_option_of_a_fix_is_in_the_form_and_can_be_cleared_there(fix: Fix) -> None:
    before = PlanRequest(engine_asked=True)
    after = fix.asked(before)
    assert after != before
    assert request_from_form(form_values(after), after) == after
    assert request_from_form(form_values(before), after) == before


def test_only_what_is_not_a_default_counts_as_set() -> None:
    assert options_set(PlanRequest()) == ()
    assert options_set(PlanRequest(kv_cache_dtype="fp8")) == (("kv_cache_dtype", "fp8"),)


def test_the_fixed_layout_is_found_with_other_replicas_too() -> None:
    plan = make_plan(make_cluster())
    assert fixed_candidate(plan, Layout(tp=4, dp=8)) is plan.candidates[0]
    assert fixed_candidate(plan, Layout(tp=8)) is None
