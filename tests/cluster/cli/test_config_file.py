"""The config file: which interpreter has which engine, and one line with file and key for what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.cli.arguments import parse_arguments
from cluster.cli.config_file import config_path, read_engine_pythons
from cluster.cli.resolve import engine_pythons_from
from cluster.errors import BadInput
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview

VLLM = '[engines.vllm]\npython = "/opt/vllm/bin/python"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "clusterview" / "config.toml"
    path.parent.mkdir()
    return path


def test_it_is_where_config_files_are() -> None:
    assert config_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/clusterview/config.toml")
    usual = Path("~/.config/clusterview/config.toml").expanduser()
    assert config_path({}) == config_path({"XDG_CONFIG_HOME": "relative"}) == usual


def test_it_names_the_interpreter_of_an_engine(file: Path) -> None:
    assert read_engine_pythons() == {}
    file.write_text(VLLM + "[engines.sglang]\n")
    assert read_engine_pythons() == {"vllm": "/opt/vllm/bin/python"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[engines.vllm\n", "is not TOML"),
        ("\xff", "is not TOML"),
        ('engine = "vllm"\n', "unknown key engine"),
        ("[engines.vlm]\n", "unknown key engines.vlm"),
        ('[engines.vllm]\npyton = "/p"\n', "unknown key engines.vllm.pyton"),
        ('[engines.vllm]\npython = "bin/python"\n', "engines.vllm.python is not the absolute path"),
        ("[engines.vllm]\npython = 3\n", "engines.vllm.python is not the absolute path"),
        ('[engines.vllm]\npython = "/opt/\\u001b[2J"\n', "engines.vllm.python is not the absolute path"),
        ('[engines]\nvllm = "/opt/python"\n', "engines.vllm is not a table"),
        ("engines = 1\n", "engines is not a table"),
        ("a = " + "[" * 5000, "is not TOML"),
        ('"\\u001b[31m" = 1', "unknown key [31m"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(file: Path, text: str, told: str) -> None:
    file.write_text(text, encoding="latin-1")
    with pytest.raises(BadInput) as refused:
        read_engine_pythons()
    assert told in refused.value.message and str(file) in refused.value.message and refused.value.hint
    assert "\x1b" not in refused.value.one_line()


def test_what_cannot_be_a_config_file_is_refused_without_reading_it(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(BadInput, match="is not a regular file"):
        read_engine_pythons()
    file.unlink()
    file.write_bytes(b"#" * (2 * 2**20))
    with pytest.raises(BadInput, match="is larger than 1 MiB"):
        read_engine_pythons()


def test_the_option_comes_before_the_file(file: Path) -> None:
    file.write_text(VLLM)

    def pythons(*options: str) -> dict[str, str]:
        return engine_pythons_from(parse_arguments(list(options)))

    assert pythons() == pythons("--engine", "builtin") == {"vllm": "/opt/vllm/bin/python"}
    assert pythons("--engine-python", "/p") == {"vllm": "/p", "sglang": "/p"}
    assert pythons("--engine", "sglang", "--engine-python", "/p") == {
        "vllm": "/opt/vllm/bin/python",
        "sglang": "/p",
    }


def test_a_wrong_file_is_status_2_before_anything_starts(file: Path) -> None:
    file.write_text("[engines.vlm]\n")
    options = ("--cluster", "1xL4", "--model", "llama-3.1-8b")
    done = run_clusterview("deploy", "--dry-run", *options, XDG_CONFIG_HOME=str(file.parents[1]))
    assert f"{file}: unknown key engines.vlm" in one_line_error(done)
