"""YAML with comments: PyYAML writes the values, and a remark after those that a person must look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from cluster.text import clean

Json = dict[str, Any]

# PyYAML quotes what YAML 1.1 would misread. Kubernetes and Compose read YAML 1.2 too, where 1e3, 0o7 and 08
# are numbers, and 'y' is a truth value to some readers.
_MISREAD = re.compile(r"[-+.]?[0-9].*|[yYnN]", re.DOTALL)
_LONGEST_REMARK = 200


@dataclass(frozen=True, slots=True)
class Noted:
    """A scalar with a remark, which is written as a comment behind it."""

    value: str | int
    note: str


class _NotedText(str):
    """The text of a scalar on its way through the emitter, with its remark."""

    note: str = ""


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Block style without anchors, in the order of the dicts."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def process_scalar(self) -> None:
        note = getattr(self.event.value, "note", "")
        super().process_scalar()
        if note:
            self.write_indicator(f" # {clean(note, _LONGEST_REMARK)}", need_whitespace=True)


def _represent_text(dumper: _Dumper, text: str) -> Any:
    style = "|" if "\n" in text else '"' if _MISREAD.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_noted(dumper: _Dumper, noted: Noted) -> Any:
    node = dumper.represent_data(noted.value)
    node.value = _NotedText(node.value)
    node.value.note = noted.note
    return node


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(Noted, _represent_noted)


def to_yaml(documents: Sequence[Json], remarks: Sequence[str] = ()) -> str:
    """Return the documents as one YAML text, below `remarks` as comments, a line each."""
    head = "".join(f"# {clean(line, _LONGEST_REMARK)}".rstrip() + "\n" for line in remarks)
    bodies = [yaml.dump(one, Dumper=_Dumper, sort_keys=False, width=10**6) for one in documents]
    return head + "---\n".join(bodies)
