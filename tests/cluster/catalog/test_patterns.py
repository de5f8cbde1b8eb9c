"""Patterns from files: matched as re.match and fnmatch would, in time that no pattern can blow up."""

from __future__ import annotations

import fnmatch
import random
import re
from typing import Any

import pytest

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.hf_config.quantization.expressions import Expressions, UnusableExpression
from cluster.catalog.hf_config.quantization.module_set import ModuleSet, bare_path
from cluster.errors import BadInput
from tests.cluster.catalog.configs import sized

PATHS = (
    "layers.3.mlp.gate_proj",
    "model.layers.12.self_attn.q_proj",
    "language_model.model.layers.0.mlp.shared_expert.up_proj",
    "vision.layers.0.x",
    "layers.10.mlp.experts.w1",
    "lm_head",
)
EXPRESSIONS = (
    r".*mlp\.gate$",
    r".*linear_attn\.in_proj_(ba|b|a)$",
    r"(?i)LAYERS.*",
    r".*\Z",
    r"layers\.\d{,2}\.mlp.*",
    r"^(?!.*vision).*",
    r"^(?!(?:vision|lm).*).*$",
    r".*(?<!shared_)expert.*",
    r".*(?<=mlp)\.gate.*",
    r".*experts?(?=\.).*",
    r".*layers\.(?!0\.)\d+\..*|lm_head",
    r"(?=.*mlp)(?!.*gate).*",
    r"a|(?!l)m.*",
    r".*(?!])[\]m]odel.*",
    r".*\.(?!(q|k)_proj$)[a-z]+_proj$",
    r"(?i)(?!LAYERS).*",
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_match_as_pythons_own(expression: str) -> None:
    compiled = Expressions([expression])
    assert [compiled.match(path) for path in PATHS] == [bool(re.match(expression, path)) for path in PATHS]


@pytest.mark.parametrize(
    "expression",
    ["(", "a)", "[", "\\", "(?<!a", "(?=a))", "(a|(?!b)c)", "(?:(?!v).)*x", "(?!a)*b", r"(a)\1", "a" * 5000],
)
def test_what_cannot_be_matched_in_linear_time_is_refused(expression: str) -> None:
    with pytest.raises(UnusableExpression):
        Expressions([expression])


def test_globs_match_as_fnmatch_does() -> None:
    rng = random.Random(7)
    compared = 0
    for _ in range(3000):
        glob = "".join(rng.choice("ab.*?[]!^\\") for _ in range(rng.randint(1, 8)))
        if not re.search(r"[*?\[]", glob):
            continue
        modules = ModuleSet([glob])
        for _ in range(3):
            path = "x." + "".join(rng.choice("ab.!^") for _ in range(rng.randint(1, 5)))
            wanted = any(fnmatch.fnmatchcase(spelling, glob) for spelling in (path, f"model.{path}"))
            assert (path in modules) == wanted, (glob, path)
            compared += 1
    assert compared > 5000


def quantized(**section: Any) -> dict[str, Any]:
    return {
        **sized("llama"),
        "num_hidden_layers": 80,
        "quantization_config": {"quant_method": "fp8", **section},
    }


EXPONENTIAL = (
    r"re:(\w*\.?)*!",
    r"re:(.*)*(.*)*(.*)*!",
    r"re:^(([a-z_.0-9])+.)+[A-Z]([a-z])+$",
    r"re:(?!x)((\w*\.?)*)*!",
    "*a" * 200 + "!",
    "re:" + "(?:a?){500}" + "a" * 500,
)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", EXPONENTIAL, ids=lambda pattern: pattern[:20])
def test_exponential_patterns_are_answered_at_once(pattern: str) -> None:
    # Backtracking takes minutes to millennia here.
    model = model_from_config(quantized(ignored_layers=[pattern]), "m", "config.json")
    assert model.parameters > 0


@pytest.mark.parametrize("field", ["ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules"])
def test_a_pattern_that_is_none_is_refused_by_name(field: str) -> None:
    with pytest.raises(BadInput, match=r"quantization_config: the pattern 're:a\(' cannot be used"):
        model_from_config(quantized(**{field: ["lm_head", "re:a("]}), "m", "config.json")


def test_more_patterns_than_can_be_matched_are_refused() -> None:
    many = [f"re:.*layers.{index}.*[a-z]{{1,40}}" for index in range(4000)]
    with pytest.raises(BadInput, match=r"has [\d,]+ characters of module patterns"):
        model_from_config(quantized(ignored_layers=many), "m", "config.json")


def test_long_lists_of_names_and_beginnings_are_read() -> None:
    names = [f"model.layers.{layer}.mlp.experts.{expert}*" for layer in range(80) for expert in range(256)]
    model = model_from_config(quantized(ignored_layers=[*names, "model.layers.7.mlp*"]), "m", "config.json")
    kinds = [
        {tensor.format.name for tensor in layer.tensors if "down" in tensor.name} for layer in model.layers
    ]
    assert kinds[7] == {"bf16"} and kinds[8] == {"fp8"}


def test_matching_has_a_budget_over_all_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.catalog.hf_config.quantization.scheme._MOST_MATCHING_S", -1.0)
    with pytest.raises(BadInput, match="module patterns take more than"):
        model_from_config(quantized(ignored_layers=["re:.*x"]), "m", "config.json")


def test_wrappers_are_stripped_in_one_pass() -> None:
    assert bare_path("model." * 200_000 + "layers.3") == "layers.3"
