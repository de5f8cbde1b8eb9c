"""The keys of the screen on one line; those that do nothing now are dimmed."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.screen import Screen

from tui.messages import DisabledKeyClicked
from tui.styles import Styles
from tui.widgets.text_panel import TextPanel


def _own_bindings(screen: Screen[Any]) -> list[Binding]:
    return [binding for binding in screen.BINDINGS if isinstance(binding, Binding)]


class KeyBar(TextPanel):
    """Like Textual's Footer, without markup and without one widget per key."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._spans: list[tuple[int, int, str, bool]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def draw(self, styles: Styles) -> Text:
        line = Text(" ", no_wrap=True, overflow="crop")
        self._spans = []
        for binding, enabled in self._shown():
            start = len(line)
            key = binding.key_display or self.app.get_key_display(binding)
            if start + len(key) + len(binding.description) + 1 > self.size.width:
                break
            line.append(key, styles.accent if enabled else styles.faint)
            line.append(f" {binding.description}", styles.muted if enabled else styles.faint)
            self._spans.append((start, len(line), binding.action, enabled))
            line.append("  ")
        return line

    def _shown(self) -> list[tuple[Binding, bool]]:
        active = [item for item in self.screen.active_bindings.values() if item.binding.show]
        # Textual lists inherited keys first; here the screen's own order holds.
        order = {item.action: number for number, item in enumerate(_own_bindings(self.screen))}
        active.sort(key=lambda item: order.get(item.binding.action, len(order)))
        return [(item.binding, item.enabled) for item in active]

    async def on_click(self, event: events.Click) -> None:
        for start, end, action, enabled in self._spans:
            if start <= event.x < end:
                if enabled:
                    await self.screen.run_action(action)
                else:
                    self.post_message(DisabledKeyClicked(action))
                return
