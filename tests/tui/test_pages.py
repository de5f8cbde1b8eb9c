"""Pages and forms: explanation, details, model picker, workload."""

from __future__ import annotations

import pytest

from cluster.planner.request import PlanRequest
from tests.tui.builders import MODEL, make_plan
from tests.tui.conftest import make_app, opened, screen_text, settle, until
from tui.screens.model_picker import ModelPicker
from tui.setup import Example


async def test_explanation_has_table_pictures_and_examples() -> None:
    app = make_app(examples=(Example(MODEL, "2x4xA100-80GB"),))
    async with opened(app, (160, 100)) as pilot:
        await pilot.press("c")
        await until(pilot, lambda: "Examples (planned live)" in screen_text(app))
        text = screen_text(app)
    for word in (
        "Side by side",
        "Data parallel",
        "Tensor parallel",
        "columns 0–2047",
        "160 all-reduces per token",
        "requests 1, 3, 5",
        "all-reduce of 131.4 GiB of gradients per step",
        "Examples (planned live)",
        "Rules of thumb",
    ):
        assert word in text


async def test_details_itemize_memory_and_name_every_rank() -> None:
    app = make_app()
    async with opened(app, (120, 60)) as pilot:
        await pilot.press("enter")
        await pilot.pause()
        text = screen_text(app)
    for word in ("weights", "KV cache", "CUDA graphs", "columns 0–2047", "heads 48–63", "node-1 GPU 0 1 2 3"):
        assert word in text


async def test_details_of_a_rejected_layout_show_rule_and_fix() -> None:
    app = make_app()
    async with opened(app) as pilot:
        await pilot.press(*["down"] * 7, "enter")
        await pilot.pause()
        text = screen_text(app)
    assert "TP=3 does not divide 64 attention heads" in text


async def test_model_picker_filters_and_answers() -> None:
    asked = []

    def remember(cluster, model, request):  # type: ignore[no-untyped-def]
        asked.append(model)
        return make_plan(cluster, model, request)

    app = make_app(plan=remember)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("m")
        await pilot.pause()
        assert isinstance(app.screen, ModelPicker)
        await pilot.press(*"llama 8b")
        await pilot.pause()
        assert MODEL not in screen_text(app).split("catalog")[-1]
        await pilot.press("enter")
        await settle(pilot)
    assert "8B" in asked[-1]


async def test_model_picker_takes_a_path() -> None:
    asked = []

    def remember(cluster, model, request):  # type: ignore[no-untyped-def]
        asked.append(model)
        return make_plan(cluster, model, request)

    app = make_app(plan=remember)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("m")
        await pilot.press(*"./my/model", "enter")
        await settle(pilot)
    assert asked[-1] == "./my/model"


async def test_workload_form_plans_with_the_new_request() -> None:
    requests: list[PlanRequest] = []

    def remember(cluster, model, request):  # type: ignore[no-untyped-def]
        requests.append(request)
        return make_plan(cluster, model, request)

    app = make_app(plan=remember)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("w")
        await pilot.pause()
        await pilot.press("down", "down", *"64", "enter")
        await settle(pilot)
    assert requests[-1].concurrency == 64
    assert requests[-1].input_tokens == 1024


@pytest.mark.parametrize("typed", ["many", "-3", "1e99", "0.5"])
async def test_workload_form_says_what_is_wrong(typed: str) -> None:
    app = make_app()
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("w")
        await pilot.press("down", "down", *typed, "enter")
        await pilot.pause()
        assert "concurrency is" in screen_text(app)


async def test_pages_scroll_to_their_end_on_a_small_terminal() -> None:
    app = make_app()
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("c", "end")
        await pilot.pause()
        assert "Rules of thumb" in screen_text(app)
        await pilot.press("escape", "question_mark", "end")
        await pilot.pause()
        assert "rejected" in screen_text(app)
