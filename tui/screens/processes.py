"""All processes on all GPUs: who uses which memory."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType

from cluster.units import count_of, format_bytes
from tui.format import gib, percent
from tui.listing import Listing, Order
from tui.process_rows import FIELDS, USER_FIELDS, ProcessList, ProcessRow, UserRow, by_user, process_list
from tui.screens.list_screen import ListScreen
from tui.styles import Styles
from tui.table import Column
from tui.views import Place, ViewContext

_USERS_NAMED = 3


def _muted(_: object, styles: Styles) -> Style:
    return styles.muted


def _name_style(row: ProcessRow, styles: Styles) -> Style:
    return styles.warning if row.pid is None else styles.strong


COLUMNS: tuple[Column[ProcessRow], ...] = (
    Column("node", 12, lambda row: row.node, lambda row: row.node),
    Column("GPU", 4, lambda row: str(row.gpu.index), lambda row: row.gpu.index, right=True),
    Column("PID", 8, lambda row: str(row.pid or ""), lambda row: row.pid, right=True, style=_muted),
    Column("user", 10, lambda row: row.user or "", lambda row: row.user, style=_muted),
    Column("GiB", 7, lambda row: gib(row.memory_bytes), lambda row: row.memory_bytes, right=True),
    Column("SM", 5, lambda row: percent(row.sm_percent), lambda row: row.sm_percent, right=True),
    Column("GPU held by", 24, lambda row: row.holder, lambda row: row.holder or None, from_cells=100),
    Column(
        "process",
        12,
        lambda row: row.brief,
        lambda row: row.brief,
        takes_rest=True,
        style=_name_style,
    ),
)
USER_COLUMNS: tuple[Column[UserRow], ...] = (
    Column("user", 20, lambda row: row.user, lambda row: row.user, takes_rest=True),
    Column("GiB", 10, lambda row: gib(row.memory_bytes), lambda row: row.memory_bytes, right=True),
    Column("processes", 10, lambda row: f"{row.processes:,}", lambda row: row.processes, right=True),
    Column("GPUs", 7, lambda row: f"{row.gpus:,}", lambda row: row.gpus, right=True),
    Column("nodes", 7, lambda row: f"{row.nodes:,}", lambda row: row.nodes, right=True),
)


class ProcessesScreen(ListScreen):
    """Sorted by memory at first; `u` adds the processes up by user."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "by_user", show=False),
        Binding("P", "leave", show=False),
    ]
    title_text = "Processes"
    empty_text = "No process is known."
    keys_text = "↑↓ row   ←→ sort   r reverse   / filter   u users   enter GPU   esc close"
    filter_hint = "words, !words, mem>10, sm<5, user=bob, node=node-3, gpu=0"

    def __init__(self, context: ViewContext) -> None:
        super().__init__(context, Order("GiB", down=True))
        self._by_user = False

    def make_listing(self) -> Listing:
        found = process_list(self.view_context.app.store.snapshot)
        summary, remark = summarize(found), _silence(found)
        if self._by_user:
            return Listing(USER_COLUMNS, by_user(found.rows), USER_FIELDS, summary, remark)
        return Listing(COLUMNS, found.rows, FIELDS, summary, remark)

    def describe(self, row: Any) -> str:
        """Return a process with its whole command line, or a user's total."""
        if isinstance(row, UserRow):
            return f"{row.user}: {format_bytes(row.memory_bytes)} on {count_of(row.gpus, 'GPU')}"
        return describe_process(row)

    def place_of(self, row: Any) -> Place | None:
        return Place(row.place.node_id, row.gpu.uuid) if isinstance(row, ProcessRow) else None

    def action_by_user(self) -> None:
        """Switch between processes and users."""
        self._by_user = not self._by_user
        self.look()


def describe_process(row: ProcessRow) -> str:
    """Describe a process in full: where it runs, as whom, and its command line."""
    place = f"{row.node} GPU {row.gpu.index}"
    if row.pid is None:
        held = format_bytes(row.memory_bytes)
        return (
            f"{place}: {held} is in use by no process that NVML lists: by one in a container, by one that "
            "ended without freeing it, or by the driver"
        )
    user = f" as {row.user}" if row.user else ""
    return f"{place}, PID {row.pid}{user}: {row.command or row.name}"


def summarize(found: ProcessList) -> str:
    """Describe all rows together: '12 processes hold 431.0 GiB: bob 300.2 GiB, carl 130.8 GiB'."""
    listed = [row for row in found.rows if row.pid is not None]
    if not found.rows:
        return ""
    held = format_bytes(sum(row.memory_bytes or 0 for row in listed))
    count = len({(row.place.node_id, row.pid) for row in listed})
    verb = "holds" if count == 1 else "hold"
    users = sorted(by_user(listed), key=lambda row: -row.memory_bytes)
    named = ", ".join(f"{row.user} {format_bytes(row.memory_bytes)}" for row in users[:_USERS_NAMED])
    more = f" and {count_of(len(users) - _USERS_NAMED, 'other')}" if len(users) > _USERS_NAMED else ""
    noun = "process" if count == 1 else "processes"
    rest = sum(row.memory_bytes or 0 for row in found.rows if row.pid is None)
    unlisted = f"; {format_bytes(rest)} held by none of them" if rest else ""
    return f"{count:,} {noun} {verb} {held}{': ' if named else ''}{named}{more}{unlisted}"


def _silence(found: ProcessList) -> str:
    if not found.silent_nodes:
        return ""
    names = found.silent_nodes
    if len(names) == 1:
        return f"{names[0]} does not answer: its processes are not listed"
    return f"{names[0]} and {count_of(len(names) - 1, 'other node')} do not answer: not listed"
