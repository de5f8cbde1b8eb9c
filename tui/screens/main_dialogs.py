"""The dialogs that the main screen opens, and what becomes of their answers."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import App

from cluster.export.format import ExportFormat
from cluster.export.make import ExportedFile
from cluster.planner.fixes.fix import Fix
from cluster.planner.result import Candidate
from tui.background import in_background
from tui.confirmations import Confirmation, prompt_remark
from tui.context import AppContext
from tui.exports import all_formats, export_of
from tui.planning import Planning
from tui.question import Question
from tui.screens.candidate_detail import CandidateDetail
from tui.screens.confirm import ConfirmScreen
from tui.screens.explain import ExplainScreen
from tui.screens.export import ExportScreen
from tui.screens.find import FindScreen
from tui.screens.fix_picker import FixPicker
from tui.screens.gpu_page import page_of
from tui.screens.help import HelpScreen
from tui.screens.logs import LogsScreen
from tui.screens.main_panels import MainPanels
from tui.screens.model_picker import ModelPicker
from tui.screens.notice import NoticeScreen
from tui.screens.prompt import PromptScreen
from tui.screens.views import view_named
from tui.screens.workload_form import WorkloadForm
from tui.views import ViewContext


class MainDialogs:
    """Opens dialogs. Methods that wait for an answer must run in a worker of the screen."""

    def __init__(self, app: App[None], context: AppContext, planning: Planning, panels: MainPanels) -> None:
        self._app, self._context, self._planning, self._panels = app, context, planning, panels

    def notice(self, title: str, message: str, hint: str = "") -> None:
        """Show a message."""
        self._app.push_screen(NoticeScreen(title, message, hint))

    async def confirm(self, confirmation: Confirmation) -> bool:
        """Ask the user; False unless they agree."""
        answer = await self._app.push_screen_wait(ConfirmScreen(confirmation))
        return answer is True

    async def find_node(self) -> None:
        """Ask for a part of a node's name and bring that node to the top of the map."""
        typed = await self._app.push_screen_wait(FindScreen("Find a node", "part of its name"))
        if typed and not self._panels.map.reveal(typed):
            self._panels.status.say(f"No node has '{typed}' in its name.", "warning")

    async def pick_model(self) -> Question | None:
        """Ask for a model of the catalog; None when the user keeps the one on screen."""
        plan = self._planning.plan
        name = await self._app.push_screen_wait(ModelPicker(plan.model.name if plan else ""))
        return Question((name,), self._planning.question.request) if name else None

    async def change_workload(self) -> Question | None:
        """Ask for tokens, requests, limits and pins; None when the user keeps them."""
        request = await self._app.push_screen_wait(WorkloadForm(self._planning.question.request))
        return Question(self._planning.models, request) if request is not None else None

    async def pick_fix(self, candidate: Candidate, fixes: Sequence[Fix]) -> Fix | None:
        """Ask which fix of a rejected layout to plan with, where there are several; None for none."""
        if len(fixes) < 2:
            return next(iter(fixes), None)
        return await self._app.push_screen_wait(FixPicker(candidate.label, fixes))

    async def export(self) -> None:
        """Show the highlighted layout as commands and manifests."""
        plan, candidate, ask = self._planning.plan, self._panels.candidate, self._context.setup.plan
        if plan is None or candidate is None:
            return
        formats = await in_background(all_formats)

        def prepare(format: ExportFormat) -> ExportedFile:
            return export_of(plan, candidate, format, ask)

        await self._app.push_screen_wait(ExportScreen(candidate.label, formats, plan.engine_name, prepare))

    def help(self) -> None:
        """Show the help page."""
        self._app.push_screen(HelpScreen())

    def explain(self) -> None:
        """Compare the strategies with this user's figures."""
        plan, setup = self._planning.plan, self._context.setup
        if plan is not None:
            page = ExplainScreen(plan, self._panels.candidate, setup.plan, setup.examples)
            self._app.push_screen(page)

    def details(self) -> None:
        """Show everything about the highlighted layout."""
        plan, candidate = self._planning.plan, self._panels.candidate
        if plan is not None and candidate is not None:
            self._app.push_screen(CandidateDetail(plan, candidate))

    @property
    def view_context(self) -> ViewContext:
        """What a view is opened with now."""
        panels = self._panels
        return ViewContext(self._context, self._planning.plan, panels.candidate, panels.map.cursor)

    def open_place(self) -> None:
        """Show the page of the GPU or node under the map's cursor."""
        context = self.view_context
        if context.place is not None:
            self._app.push_screen(page_of(context))

    def open_view(self, name: str) -> None:
        """Show one of the views that have a key of their own."""
        view = view_named(name)
        if view is not None:
            self._app.push_screen(view.open(self.view_context))

    def logs(self) -> None:
        """Show what the engine of the selected deployment writes."""
        if self._panels.deployment is not None:
            self._app.push_screen(LogsScreen(self._context, self._panels.deployment))

    def prompt(self) -> None:
        """Open a conversation with the selected deployment."""
        context, deployment = self._context, self._panels.deployment
        if deployment is not None:
            remark = prompt_remark(deployment)
            self._app.push_screen(PromptScreen(context.session, deployment.name, context.store, remark))
