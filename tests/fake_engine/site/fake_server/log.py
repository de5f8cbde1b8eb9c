"""Log lines in vLLM's form, and the noise that engines and their libraries print."""

from __future__ import annotations

import os
import time

_NOISE = {
    "escapes": b"\x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\x07 [bold]markup[/bold] \x1b[10A\x1b]8;;http://x\x1b\\link",
    "bytes": b"\xff\xfe\x80 not UTF-8 \x00\x01\xc3\x28",
    "long": b"x" * 1_000_000,
    "carriage": b"".join(b"\rDownloading: %3d%%" % percent for percent in range(0, 101, 5)),
}


class Printer:
    """Prints as a process of this name."""

    def __init__(self, process: str, pid: int | None = None) -> None:
        self._process = process
        self._pid = pid

    def renamed(self, process: str) -> Printer:
        """Return another name's log with the same process id."""
        return Printer(process, self._pid)

    def info(self, file: str, text: str) -> None:
        self._print("INFO", file, text)

    def warning(self, file: str, text: str) -> None:
        self._print("WARNING", file, text)

    def error(self, file: str, text: str) -> None:
        self._print("ERROR", file, text)

    def _print(self, level: str, file: str, text: str) -> None:
        stamp = time.strftime("%m-%d %H:%M:%S")
        prefix = f"({self._process} pid={self._pid or os.getpid()}) {level} {stamp} [{file}:1] "
        os.write(1, ("\n".join(prefix + line for line in text.split("\n")) + "\n").encode())


def say(line: str) -> None:
    """Print a line that no logger formats, to stderr; in one write, since processes share it."""
    os.write(2, (line + "\n").encode())


def make_noise(kinds: str) -> None:
    """Print the chosen kinds of noise."""
    for kind in filter(None, kinds.split(",")):
        data = _NOISE[kind] + b"\n"
        while data:
            data = data[os.write(2, data) :]
