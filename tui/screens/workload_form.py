"""Changing the workload: one line per value; enter plans with them."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from cluster.errors import BadInput
from cluster.planner.request import PlanRequest
from tui.screens.dialog import Dialog
from tui.styles import styles_of
from tui.workload import FIELDS, form_values, request_from_form


class WorkloadForm(Dialog[PlanRequest]):
    """Returns the changed request."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False, priority=True),
        Binding("down", "app.focus_next", show=False, priority=True),
    ]

    def __init__(self, request: PlanRequest) -> None:
        super().__init__()
        self._request = request

    def compose(self) -> ComposeResult:
        values = form_values(self._request)
        with Vertical(classes="dialog form"):
            yield Static(Content("Workload"), classes="dialog-title")
            with VerticalScroll(classes="dialog-body", can_focus=False):
                for field in FIELDS:
                    with Horizontal(classes="field"):
                        yield Static(Content(field.label), classes="field-label")
                        yield Input(values[field.name], id=f"field-{field.name}")
                        yield Static(Content(field.hint), classes="field-hint")
            yield Static(id="complaint")
            yield Static(Content("↑↓ move   enter plan   escape cancel"), classes="dialog-keys")

    def on_input_submitted(self) -> None:
        values = {field.name: self.query_one(f"#field-{field.name}", Input).value for field in FIELDS}
        try:
            self.dismiss(request_from_form(values, self._request))
        except BadInput as error:
            self.query_one("#complaint", Static).update(Text(error.one_line(), styles_of(self).bad))
