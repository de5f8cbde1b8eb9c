"""What the keys of the main screen do. Nothing here waits for a node on the screen's thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, cast

from textual import work
from textual.screen import Screen

from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.errors import ClusterviewError
from cluster.planner.result import Candidate, Plan
from tui.confirmations import confirm_deploy, confirm_stop, no_longer_fits
from tui.planning import Question, answer, candidate_key, current_cluster, find_candidate
from tui.screens.confirm import ConfirmScreen
from tui.screens.explain import ExplainScreen
from tui.screens.help import HelpScreen
from tui.screens.model_picker import ModelPicker
from tui.screens.notice import NoticeScreen
from tui.screens.prompt import PromptScreen
from tui.widgets.cluster_map import ClusterMap
from tui.widgets.deployment_panel import DeploymentPanel
from tui.widgets.status_line import Kind

if TYPE_CHECKING:
    from tui.app import ClusterviewApp

_SERVING = (DeploymentState.READY, DeploymentState.DEGRADED)


class MainActions(Screen[None]):
    """The actions behind the keys; the main screen adds the panels."""

    question: Question
    plan: Plan | None

    @property
    def view(self) -> ClusterviewApp:
        """The app, typed."""
        return cast("ClusterviewApp", self.app)

    @property
    def candidate(self) -> Candidate | None:
        """The highlighted layout."""
        raise NotImplementedError

    def ask(self, question: Question) -> None:
        """Plan something else."""
        raise NotImplementedError

    def show_plan(self, plan: Plan | None) -> None:
        """Show a plan in every panel."""
        raise NotImplementedError

    def say(self, message: str, kind: Kind = "info") -> None:
        """Put a message on the status line."""
        raise NotImplementedError

    @property
    def deployment(self) -> DeploymentStatus | None:
        """The deployment that keys act on."""
        return self.query_one(DeploymentPanel).selected

    def possible(self, action: str) -> bool | None:
        """Tell whether an action makes sense now: None dims its key."""
        if not self.is_mounted:
            return True
        session, deployment = self.view.session, self.deployment
        can_change = session is not None and session.can_deploy and self.view.store.snapshot.lost is None
        if action == "deploy":
            return True if can_change and self.candidate is not None and self.candidate.feasible else None
        if action == "stop":
            return True if can_change and deployment is not None else None
        if action == "prompt":
            return True if can_change and deployment and deployment.state in _SERVING else None
        if action in ("explain", "details", "move", "replan"):
            return True if self.plan is not None else None
        return True

    @work(group="dialog", exclusive=True)
    async def action_pick_model(self) -> None:
        """Choose a model from the catalogue."""
        name = await self.app.push_screen_wait(ModelPicker(self.plan.model.name if self.plan else ""))
        if name:
            self.ask(Question((name,), self.question.request))

    def action_help(self) -> None:
        """Teach all keys."""
        self.app.push_screen(HelpScreen())

    def action_explain(self) -> None:
        """Compare the strategies with this user's figures."""
        if self.plan is not None:
            self.app.push_screen(ExplainScreen(self.plan, self.candidate))

    def action_next_deployment(self) -> None:
        """Select the next deployment."""
        self.query_one(DeploymentPanel).select_next()
        self.refresh_bindings()

    def action_next_density(self) -> None:
        """Show the map as tiles, rows or one line a node."""
        self.query_one(ClusterMap).next_density()

    @work(group="dialog", exclusive=True)
    async def action_deploy(self) -> None:
        """Look at the cluster again, ask once, and order the highlighted layout."""
        session, wanted = self.view.session, self.candidate
        if session is None or wanted is None:
            return
        try:
            plan, candidate = await self._look_again(wanted)
            if not candidate.feasible:
                self.app.push_screen(NoticeScreen(*no_longer_fits(candidate)))
                return
            spec = await asyncio.to_thread(self._spec, plan, candidate)
            if await self.app.push_screen_wait(ConfirmScreen(confirm_deploy(spec, candidate))):
                self.add_class("-show-deployment")
                self.say(f"Ordered {spec.label} of {spec.model.name}.")
                await self._finish(session.deploy(spec), "")
        except ClusterviewError as error:
            self.app.push_screen(NoticeScreen("This layout cannot be deployed", error.message, error.hint))

    async def _look_again(self, wanted: Candidate) -> tuple[Plan, Candidate]:
        """Plan on the readings of this moment and find the wanted layout in the answer."""
        cluster = current_cluster(self.view.store.snapshot)
        assert cluster is not None and self.plan is not None
        question = Question((self.question.models[-1],), self.question.request)
        if self.plan.model.name in self.question.models:
            question = Question((self.plan.model.name,), self.question.request)
        plan = await asyncio.to_thread(answer, question, cluster, self.view.setup.plan)
        self.show_plan(plan)
        return plan, find_candidate(plan, candidate_key(wanted)) or wanted

    def _spec(self, plan: Plan, candidate: Candidate) -> DeploymentSpec:
        return self.view.setup.make_spec(plan, candidate, self.view.store.snapshot.simulated)

    @work(group="dialog", exclusive=True)
    async def action_stop(self) -> None:
        """Ask once, and stop the selected deployment."""
        session, deployment = self.view.session, self.deployment
        if session is None or deployment is None:
            return
        if await self.app.push_screen_wait(ConfirmScreen(confirm_stop(deployment))):
            self.say(f"Stopping {deployment.name}.")
            await self._finish(
                session.stop(deployment.name), f"Stopped {deployment.name}; its GPUs are free."
            )

    def action_prompt(self) -> None:
        """Talk to the selected deployment."""
        session, deployment = self.view.session, self.deployment
        if session is not None and deployment is not None:
            self.app.push_screen(PromptScreen(session, deployment.name, self.view.store))

    async def _finish(self, future: Future[None], done: str) -> None:
        """Wait for an order without holding the screen, and say how it ended."""
        try:
            await asyncio.wrap_future(future)
        except ClusterviewError as error:
            self.app.push_screen(NoticeScreen("That did not work", error.message, error.hint))
            self.say(error.message, "bad")
        except Exception as error:
            self.say(f"{type(error).__name__}: {error}", "bad")
        else:
            if done:
                self.say(done, "good")
