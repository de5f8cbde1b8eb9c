"""What the parts of the main screen may ask of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from cluster.deploy.status import DeploymentStatus
from cluster.planner.result import Candidate, Plan
from tui.planning import Question
from tui.widgets.deployment_panel import DeploymentPanel
from tui.widgets.status_line import Kind, StatusLine

if TYPE_CHECKING:
    from tui.app import ClusterviewApp


class MainBase(Screen[None]):
    """The screen's state and the few things that both its plan and its keys need."""

    question: Question
    plan: Plan | None
    as_if_stopped: str
    not_runnable: str

    @property
    def view(self) -> ClusterviewApp:
        """The app, typed."""
        return cast("ClusterviewApp", self.app)

    @property
    def candidate(self) -> Candidate | None:
        """The highlighted layout."""
        raise NotImplementedError

    @property
    def deployment(self) -> DeploymentStatus | None:
        """The deployment that keys act on."""
        return self.query_one(DeploymentPanel).selected

    def ask(self, question: Question) -> None:
        """Plan something else."""
        raise NotImplementedError

    def show_plan(self, plan: Plan | None, as_if_stopped: str = "") -> None:
        """Show a plan in every panel; `as_if_stopped` names deployments that it takes for stopped."""
        raise NotImplementedError

    def say(self, message: str, kind: Kind = "info") -> None:
        """Put a message on the status line."""
        self.query_one(StatusLine).say(message, kind)
