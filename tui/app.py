"""The Textual app. Everything on screen comes from the events of a session."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from rich.console import RenderableType
from textual import events
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.screen import Screen
from textual.worker import WorkerFailed

from cluster.bridge.events import Progress
from cluster.bridge.session import Session
from tui.background import in_background
from tui.context import AppContext
from tui.filters import OutputFilter
from tui.listener import Listener
from tui.messages import ReconnectRequested, SimulationRequested, StoreChanged
from tui.screens.main import MainScreen
from tui.setup import Setup
from tui.store import Store
from tui.terminal.driver import TerminalDriver
from tui.themes import PALETTES, textual_theme


class ClusterviewApp(App[None]):
    """Shows one cluster. Owns the session, and switches it."""

    CSS_PATH = "app.tcss"
    TITLE = "clusterview"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "quit", "Quit", show=False, priority=True),
        Binding("ctrl+l", "redraw", "Redraw", show=False, priority=True),
    ]

    def __init__(self, session: Session, setup: Setup | None = None) -> None:
        super().__init__()
        setup = setup or Setup()
        self.context = AppContext(setup, session, Store(setup.clock), setup.address_options)
        self.main_screen = MainScreen(self.context)
        self._listener: Listener | None = None
        self._output_filter = OutputFilter(setup.ascii_only)
        for palette in PALETTES:
            self.register_theme(textual_theme(palette))
        self.theme = setup.theme

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, and ours last."""
        return [*super().get_line_filters(), self._output_filter]

    def get_driver_class(self) -> type[Driver]:
        """Use our driver instead of Textual's on the same terminals."""
        chosen = super().get_driver_class()
        return TerminalDriver if chosen is LinuxDriver else chosen

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Write only what differs from what the terminal shows; nothing at all when nothing does."""
        driver, shown = self._driver, renderable
        if (
            isinstance(driver, TerminalDriver)
            and isinstance(renderable, LayoutUpdate | ChopsUpdate)
            and self._running
            and not self._closed
            and not self._batch_count
        ):
            # Typed as a renderable by Textual, which takes any update of its compositor here.
            shown = cast("RenderableType | None", driver.frame.changes(renderable, self.size, self.console))
        super()._display(screen, shown)

    @property
    def fault(self) -> Exception | None:
        """The exception that ended the app, if one did."""
        error = self._exception
        return (
            error.error if isinstance(error, WorkerFailed) and isinstance(error.error, Exception) else error
        )

    def panic(self, *renderables: RenderableType) -> None:
        """Exit without Textual's traceback: the caller reports the error in one line."""
        self._close_messages_no_wait()

    def _fatal_error(self) -> None:
        self.panic()

    def on_resize(self, _: events.Resize) -> None:
        """Redraw everything: a resized terminal may show anything."""
        self._forget_frame()

    def action_redraw(self) -> None:
        """Redraw everything, in case something else wrote to the terminal."""
        self._forget_frame()
        self.screen.refresh()

    def _forget_frame(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self._driver.frame.forget()

    async def on_mount(self) -> None:
        await self.push_screen(self.main_screen)
        self._leave_on_signals()
        # After the first paint, so that a slow start of the session never delays it.
        self.call_after_refresh(self._listen)

    def _leave_on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self.exit)

    def _listen(self) -> None:
        store = self.context.store
        self._listener = Listener(store, lambda: self.main_screen.post_message(StoreChanged()))
        self.run_worker(in_background(self.context.session.start, self._listener), exit_on_error=False)

    def on_simulation_requested(self, _: SimulationRequested) -> None:
        """Leave the session and show the simulated cluster."""
        open_simulated = self.context.setup.open_simulated
        if open_simulated is not None:
            self._leave_session()
            self.context.session, self.context.address_options = open_simulated(), ()
            self.context.store = Store(self.context.setup.clock)
            self._listen()

    def on_reconnect_requested(self, _: ReconnectRequested) -> None:
        """Open another session on the same cluster; what was known of it stays until there is news."""
        reopen = self.context.setup.reopen
        if reopen is not None:
            self._leave_session()
            self.context.store.apply(Progress(message="reconnecting to the cluster", interrupted=True))
            self.main_screen.post_message(StoreChanged())
            self.context.session = reopen()
            self._listen()

    def _leave_session(self) -> None:
        if self._listener is not None:
            self._listener.stopped = True
        self.run_worker(in_background(self.context.session.close), exit_on_error=False)

    def action_next_theme(self) -> None:
        """Switch to the next palette."""
        names = [palette.name for palette in PALETTES]
        position = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(position + 1) % len(names)]
