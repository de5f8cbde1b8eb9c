"""Prompting a deployment: its tokens appear as they arrive."""

from __future__ import annotations

import asyncio
import itertools
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from cluster.bridge.events import TokenSeen
from cluster.bridge.session import Session
from cluster.errors import ClusterviewError
from tui.glyphs import CURSOR
from tui.screens.dialog import Dialog
from tui.store import Store
from tui.styles import styles_of

MAX_TOKENS = 64
_POLL_S = 0.05
_serials = itertools.count(1)


class PromptScreen(Dialog[None]):
    """Each answer is appended, so several prompts can follow one another."""

    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
    ]

    def __init__(self, session: Session, name: str, store: Store, remark: str = "") -> None:
        super().__init__()
        self._session, self._deployment, self._store = session, name, store
        self._remark = remark
        self._talk = Text()
        self._prompt_id: str | None = None
        self._pieces = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog prompt"):
            yield Static(Content(f"Prompt {self._deployment}"), classes="dialog-title")
            if self._remark:
                yield Static(Content(self._remark), classes="prompt-remark")
            with VerticalScroll(classes="dialog-body talk", can_focus=False):
                yield Static(id="talk")
            yield Input(placeholder="type a prompt and press enter", id="prompt")
            yield Static(Content("enter send   escape close"), classes="dialog-keys")

    def on_mount(self) -> None:
        self._store.take_tokens()
        self.set_interval(_POLL_S, self._take)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if not text or self._prompt_id is not None:
            return
        styles = styles_of(self)
        self._talk.append(f"{CURSOR} ", styles.accent).append(f"{text}\n", styles.strong)
        prompt_id = f"prompt-{next(_serials)}"
        self._prompt_id, self._pieces = prompt_id, 0
        event.input.value = ""
        self._update()
        self._send(prompt_id, text)

    @work(group="prompt")
    async def _send(self, prompt_id: str, text: str) -> None:
        try:
            await asyncio.wrap_future(self._session.prompt(self._deployment, prompt_id, text, MAX_TOKENS))
        except ClusterviewError as error:
            self._end(error.one_line())
        except Exception as error:
            self._end(f"{type(error).__name__}: {error}")

    def _take(self) -> None:
        for piece in self._store.take_tokens():
            if piece.prompt_id == self._prompt_id:
                self._show(piece)

    def _show(self, piece: TokenSeen) -> None:
        self._talk.append(piece.text, styles_of(self).plain)
        self._pieces += 1 if piece.text else 0
        if piece.error:
            self._end(piece.error)
        elif piece.done:
            where = f" from R{piece.replica}" if piece.replica is not None else ""
            self._end(f"{self._pieces} chunks{where}")
        else:
            self._update()

    def _end(self, remark: str) -> None:
        if self._prompt_id is None:
            return
        self._prompt_id = None
        self._talk.append(f"\n{remark}\n\n", styles_of(self).muted)
        self._update()

    def _update(self) -> None:
        for part in self.query("#talk").results(Static):
            part.update(self._talk.copy())
        for talk in self.query(VerticalScroll):
            talk.scroll_end(animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll the conversation."""
        for talk in self.query(VerticalScroll):
            talk.scroll_relative(y=pages * max(1, talk.size.height - 1), animate=False)
