"""Keys arrive faster than screens are drawn: typing ahead, or leaving at once, causes no error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.events import Resize
from textual.geometry import Size

from cluster.planner.request import PlanRequest
from tests.tui.builders import make_cluster, make_plan
from tests.tui.conftest import make_app, opened
from tui.app import ClusterviewApp
from tui.confirmations import Confirmation
from tui.screens.candidate_detail import CandidateDetail
from tui.screens.confirm import ConfirmScreen
from tui.screens.dialog import Dialog
from tui.screens.explain import ExplainScreen
from tui.screens.find import FindScreen
from tui.screens.gpu_page import GpuPage
from tui.screens.help import HelpScreen
from tui.screens.model_picker import ModelPicker
from tui.screens.node_page import NodePage
from tui.screens.notice import NoticeScreen
from tui.screens.prompt import PromptScreen
from tui.screens.workload_form import WorkloadForm
from tui.views import Place

PLAN = make_plan(make_cluster(), "", PlanRequest())

DIALOGS: dict[str, Callable[[ClusterviewApp], Dialog]] = {  # type: ignore[type-arg]
    "details": lambda app: CandidateDetail(PLAN, PLAN.candidates[0]),
    "confirm": lambda app: ConfirmScreen(Confirmation("Deploy?", (("name", "value"),), "Deploy")),
    "explain": lambda app: ExplainScreen(PLAN, None, make_plan),
    "find": lambda app: FindScreen("Find", "name"),
    "gpu": lambda app: GpuPage(app.main_screen.dialogs.view_context, Place("id-0", "GPU-0-1")),
    "node": lambda app: NodePage(app.main_screen.dialogs.view_context, Place("id-0")),
    "help": lambda app: HelpScreen(),
    "models": lambda app: ModelPicker(""),
    "notice": lambda app: NoticeScreen("title", "message", "hint"),
    "prompt": lambda app: PromptScreen(app.context.session, "name", app.context.store),
    "workload": lambda app: WorkloadForm(PlanRequest()),
}


@pytest.mark.parametrize("kind", DIALOGS)
async def test_a_dialog_left_before_it_is_drawn(kind: str) -> None:
    app = make_app()
    async with opened(app) as pilot:
        dialog = DIALOGS[kind](app)
        app.push_screen(dialog)
        dialog.post_message(Resize(Size(80, 24), Size(80, 24)))
        dialog.dismiss(None)
        await pilot.pause(0.1)
        assert app.screen is app.main_screen
    assert not app.return_code


@pytest.mark.parametrize("kind", DIALOGS)
async def test_keys_for_a_dialog_that_is_not_drawn_yet(kind: str) -> None:
    app = make_app()
    async with opened(app) as pilot:
        dialog = DIALOGS[kind](app)
        app.push_screen(dialog)
        for _, binding in list(dialog._bindings):
            if "move" in binding.action or "scroll" in binding.action or "page" in binding.action:
                await dialog.run_action(binding.action)
        await pilot.pause(0.1)
        assert app.screen is dialog
    assert not app.return_code


@pytest.mark.parametrize("kind", DIALOGS)
async def test_quitting_while_a_dialog_opens(kind: str) -> None:
    app = make_app()
    async with opened(app) as pilot:
        app.push_screen(DIALOGS[kind](app))
        app.exit()
        await pilot.pause(0.1)
    assert not app.return_code
