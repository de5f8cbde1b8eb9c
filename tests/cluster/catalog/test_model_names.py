"""How a name that a user types leads to a model of the catalog."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cluster.catalog.models import load_config, load_model, model_names
from cluster.catalog.models.entries import FOLDER
from cluster.catalog.models.names import resolve
from cluster.errors import UnknownName


def test_aliases_name_entries_and_no_two_models() -> None:
    aliases: dict[str, list[str]] = json.loads((FOLDER / "aliases.json").read_text())
    assert set(aliases) <= set(model_names())
    spelled = [alias.lower() for listed in aliases.values() for alias in listed]
    assert len(spelled) == len(set(spelled))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"),
        ("META-LLAMA/llama-3.1-70b-instruct", "meta-llama/Llama-3.1-70B-Instruct"),
        ("llama-2-7b", "meta-llama/Llama-2-7b-hf"),
        ("gpt-oss-120b", "openai/gpt-oss-120b"),
        ("qwen3-8b", "Qwen/Qwen3-8B"),
        ("gemma-3-27b", "google/gemma-3-27b-it"),
        ("mixtral-8x7b", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    ],
)
def test_short_forms(typed: str, meant: str) -> None:
    assert resolve(typed) == meant


def test_the_usual_70b_is_understood() -> None:
    assert load_model("llama-3.1-70b").parameters == 70_553_706_496


def test_an_ambiguous_form_lists_what_it_may_mean() -> None:
    with pytest.raises(UnknownName) as caught:
        load_model("70b")
    assert "Llama-3.1-70B" in caught.value.hint
    assert "\n" not in caught.value.one_line()


def test_an_unknown_name_comes_with_near_ones() -> None:
    with pytest.raises(UnknownName) as caught:
        load_model("Qwen3-9B")
    assert "Qwen/Qwen3-8B" in caught.value.hint


def test_a_variant_is_planned_from_its_name() -> None:
    plain, variant = load_model("google/gemma-2-9b-it"), load_model("gemma-2-9b-it-awq")
    assert variant.quantization is not None and variant.quantization.method == "awq"
    assert variant.weights_bytes < 0.5 * plain.weights_bytes
    assert variant.parameters == plain.parameters


def test_the_raw_config_is_what_engines_read() -> None:
    config = load_config("meta-llama/Llama-3.1-8B-Instruct")
    assert config["model_type"] == "llama"
    assert config["rope_scaling"]["rope_type"] == "llama3"


def test_a_lookup_opens_few_files() -> None:
    """A dry run pays for its own model only: one entry, the one with its config, its family and the GPU."""
    code = (
        "import builtins, pathlib; opened = []; real = pathlib.Path.read_text\n"
        "def spy(self, *a, **k):\n    opened.append(self); return real(self, *a, **k)\n"
        "pathlib.Path.read_text = spy\n"
        "from cluster.catalog.models import load_model; from cluster.catalog.gpus import find_gpu\n"
        "load_model('meta-llama/Llama-3.1-70B-Instruct'); find_gpu('A100-80GB')\n"
        "import cluster.catalog; root = pathlib.Path(cluster.catalog.__file__).parent\n"
        "print(sum(path.is_relative_to(root) for path in opened))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert 1 <= int(done.stdout) <= 5
