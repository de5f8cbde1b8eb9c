"""Only what changed is written, and what the terminal then shows is what the screen holds."""

from __future__ import annotations

import random
import re

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region, Size
from textual.strip import Strip

from tui.terminal.frame import Frame

SIZE = Size(24, 5)
CONSOLE = Console(color_system="truecolor", force_terminal=True, width=24)
STYLES = [
    Style(),
    Style(color="red"),
    Style(color="#102030", bgcolor="#ffffff", bold=True),
    Style(bgcolor="#ffffff"),
    Style(color="bright_blue", bgcolor="color(200)", underline=True, italic=True),
    Style(reverse=True),
]
Cells = list[list[tuple[str, str]]]


class Emulator:
    """A terminal that knows just the sequences a frame may use, and refuses all others."""

    def __init__(self, size: Size) -> None:
        self.cells: Cells = [[(" ", "")] * size.width for _ in range(size.height)]

    def write(self, data: str) -> None:
        """Carry the sequences out."""
        x = y = 0
        style = Style()
        for move, sgr, text in re.findall(r"\x1b\[([\d;]+)H|\x1b\[([\d;]*)m|([^\x1b]+)", data):
            if move:
                y, x = (int(part) - 1 for part in move.split(";"))
            elif text:
                for character in text:
                    self.cells[y][x] = (character, styles_of(style, character))
                    x += 1
            else:
                style = style_after(style, sgr)
        rest = re.sub(r"\x1b\[[\d;]+H|\x1b\[[\d;]*m|[^\x1b]+", "", data)
        assert rest == ""


def style_after(style: Style, sgr: str) -> Style:
    """Apply SGR parameters to a style, by rich's own decoder where it knows them."""
    from rich.ansi import AnsiDecoder

    decoder = AnsiDecoder()
    decoder.style = style
    list(decoder.decode(f"\x1b[{sgr}mX"))
    return decoder.style


def styles_of(style: Style, character: str) -> str:
    """How a character looks: of a blank without attributes only the background shows."""
    attributes = [style.bold, style.italic, style.underline, style.reverse]
    foreground = None if character == " " and not any(attributes) else style.color
    name = "" if foreground is None or foreground.is_default else str(foreground.get_truecolor())
    ground = "" if style.bgcolor is None or style.bgcolor.is_default else str(style.bgcolor.get_truecolor())
    return f"{name}/{ground}/{[bool(item) for item in attributes]}"


def lines_of(picture: list[list[tuple[str, Style]]]) -> LayoutUpdate:
    """Make the update that draws a picture of (text, style) pieces."""
    strips = [[Strip([Segment(text, style) for text, style in line])] for line in picture]
    return LayoutUpdate(strips, Region(0, 0, *SIZE))  # type: ignore[arg-type]


def expected(picture: list[list[tuple[str, Style]]]) -> Cells:
    """What a terminal must show of a picture."""
    return [
        [(character, styles_of(style, character)) for text, style in line for character in text]
        for line in picture
    ]


def random_picture(draw: random.Random) -> list[list[tuple[str, Style]]]:
    """Lines of pieces that fill the width."""
    picture = []
    for _ in range(SIZE.height):
        cuts = sorted(draw.sample(range(1, SIZE.width), 3))
        lengths = [end - start for start, end in zip([0, *cuts], [*cuts, SIZE.width], strict=True)]
        picture.append(
            [("".join(draw.choices("ab ▃→", k=length)), draw.choice(STYLES)) for length in lengths]
        )
    return picture


def test_the_terminal_shows_what_the_screen_holds_after_any_changes() -> None:
    draw = random.Random(3)
    frame, terminal = Frame(), Emulator(SIZE)
    picture = random_picture(draw)
    for step in range(200):
        if step % 3:
            picture = [line if draw.random() < 0.6 else random_picture(draw)[0] for line in picture]
        else:
            picture = random_picture(draw)
        changes = frame.changes(lines_of(picture), SIZE, CONSOLE)
        terminal.write(changes.sequences if changes else "")
        assert terminal.cells == expected(picture)


def test_nothing_is_written_when_nothing_changed() -> None:
    frame, picture = Frame(), random_picture(random.Random(5))
    assert frame.changes(lines_of(picture), SIZE, CONSOLE) is not None
    assert frame.changes(lines_of(picture), SIZE, CONSOLE) is None


def test_one_cell_costs_one_cell() -> None:
    frame = Frame()
    picture = [[("x" * SIZE.width, STYLES[2])] for _ in range(SIZE.height)]
    frame.changes(lines_of(picture), SIZE, CONSOLE)
    picture[2] = [("x" * 10 + "y" + "x" * (SIZE.width - 11), STYLES[2])]
    changes = frame.changes(lines_of(picture), SIZE, CONSOLE)
    assert changes is not None
    assert changes.sequences.startswith("\x1b[3;11H") and "x" not in changes.sequences
    assert len(changes.sequences) < 60


def test_everything_is_written_after_forget_and_after_a_resize() -> None:
    frame, picture = Frame(), random_picture(random.Random(5))
    first = frame.changes(lines_of(picture), SIZE, CONSOLE)
    frame.forget()
    again = frame.changes(lines_of(picture), SIZE, CONSOLE)
    assert first is not None and again is not None and first.sequences == again.sequences
    other = frame.changes(lines_of(picture), Size(SIZE.width, SIZE.height - 1), CONSOLE)
    assert other is not None and len(other.sequences) > 100


def test_a_line_with_wide_characters_is_written_whole() -> None:
    frame = Frame()
    plain = [[("x" * SIZE.width, STYLES[1])] for _ in range(SIZE.height)]
    wide = [*plain[:2], [("日本" + "x" * (SIZE.width - 4), STYLES[1])], *plain[3:]]
    frame.changes(lines_of(plain), SIZE, CONSOLE)
    for picture in (wide, plain):
        changes = frame.changes(lines_of(picture), SIZE, CONSOLE)
        assert changes is not None
        assert changes.sequences.startswith("\x1b[3;1H")
        assert changes.sequences.count("x") == SIZE.width - (4 if picture is wide else 0)
