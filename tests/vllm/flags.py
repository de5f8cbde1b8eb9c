"""Writes the table of an engine's options that tests/cluster/engines/flags holds. Standard library only.

In the engine's own environment, from the folder of the repository:

    PYTHON tests/vllm/flags.py vllm                   what its parser takes, with types and choices
    PYTHON tests/vllm/flags.py sglang
    PYTHON tests/vllm/flags.py vllm --source FOLDER   names alone, from an unpacked wheel that cannot run
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLES = Path(__file__).parents[1] / "cluster" / "engines" / "flags"
_SOURCES = {
    "vllm": (
        "vllm/engine/arg_utils.py",
        "vllm/entrypoints/openai/cli_args.py",
        "vllm/entrypoints/cli/serve.py",
        "vllm/entrypoints/launchers/cli_args.py",
    ),
    "sglang": ("sglang/srt/server_args.py",),
}
_DATACLASSES = ("FrontendArgs", "BaseFrontendArgs")
"""Classes whose fields vLLM turns into options."""


def main() -> None:
    """Write one table and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=sorted(_SOURCES))
    parser.add_argument("--source", type=Path, help="unpacked wheel; its folder is named like the version")
    asked = parser.parse_args()
    if asked.source:
        version, read, options = asked.source.name, "names", _names(asked.engine, asked.source)
    else:
        version, read = importlib.metadata.version(asked.engine).partition("+")[0], "parser"
        options = dict(sorted(_parsed(asked.engine)))
    table = TABLES / f"{asked.engine}-{version}.json"
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(option)}" for name, option in options.items())
    table.write_text(f'{{"read": "{read}", "options": {{\n{lines}\n}}}}\n')
    print(f"{table}: {len(options)} options")


def _parsed(engine: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for action in option_parser(engine)._actions:
        for name in action.option_strings:
            if name.startswith("--"):
                yield name, _described(action)


def option_parser(engine: str) -> argparse.ArgumentParser:
    """Return the engine's own parser. vLLM has moved it three times."""
    if engine == "sglang":
        from sglang.srt.server_args import ServerArgs

        parser = argparse.ArgumentParser(prog="launch_server.py")
        ServerArgs.add_cli_args(parser)
        return parser
    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:
        from vllm.utils import FlexibleArgumentParser
    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
    except ImportError:
        from vllm.entrypoints.openai.cli_args import make_arg_parser
    made: argparse.ArgumentParser = make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    return made


def _described(action: argparse.Action) -> dict[str, Any]:
    """Return how many values an option takes, of which type, and the choices; what is usual is left out."""
    described: dict[str, Any] = {}
    if action.nargs not in (None, 1):
        described["values"] = action.nargs
    kind = getattr(action.type, "__name__", None)
    if kind not in (None, "str"):
        described["type"] = "text" if kind == "<lambda>" else kind
    if action.choices is not None:
        described["choices"] = [str(choice) for choice in action.choices]
    return described


def _names(engine: str, folder: Path) -> dict[str, dict[str, Any]]:
    found: set[str] = set()
    for file in _SOURCES[engine]:
        path = folder / file
        if path.exists():
            found.update(_names_in(ast.parse(path.read_text())))
    return {name: {} for name in sorted(found)}


def _names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            texts = (arg.value for arg in node.args if isinstance(arg, ast.Constant))
            yield from (text for text in texts if isinstance(text, str) and text.startswith("--"))
        elif isinstance(node, ast.ClassDef) and node.name in _DATACLASSES:
            fields = (one.target for one in node.body if isinstance(one, ast.AnnAssign))
            yield from ("--" + one.id.replace("_", "-") for one in fields if isinstance(one, ast.Name))


if __name__ == "__main__":
    sys.exit(main())
