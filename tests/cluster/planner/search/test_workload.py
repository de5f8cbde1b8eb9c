"""Lengths that no sequence holds, and formats that must be at hand."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.rule import Rule
from cluster.planner.traffic import Lengths, fit_lengths
from tests.cluster.planner.ask import LLAMA_8B, ask, best

GPT2 = load_model("openai-community/gpt2")


@given(tokens_in=st.integers(1, 10**7), tokens_out=st.integers(1, 10**7), length=st.integers(2, 10**6))
def test_lengths_fit_a_sequence(tokens_in: int, tokens_out: int, length: int) -> None:
    request = PlanRequest(input_tokens=tokens_in, output_tokens=tokens_out, max_model_len=length)
    cut, notes = fit_lengths(request, GPT2)
    assert cut.input_tokens >= 1 and cut.output_tokens >= 1
    if notes:
        assert cut.total == length < tokens_in + tokens_out
    else:
        assert cut == Lengths(tokens_in, tokens_out)


def test_a_short_model_is_planned_for_what_it_holds_and_says_so() -> None:
    answer = ask("openai-community/gpt2", "1xA100-80GB")
    assert answer.lengths.total == 1024
    assert answer.request.input_tokens == 1024  # what was asked for stays as it was
    assert any("planned for 682 in, 342 out" in note for note in best(answer).notes)


def test_a_format_that_the_engine_cannot_make_is_told() -> None:
    def notes(method: str) -> str:
        model = load_model(LLAMA_8B, quantization=method)
        request = PlanRequest(quantization=method)
        return " ".join(best(plan(parse_cluster_spec("1xA100-80GB"), model, request)).notes)

    assert "it needs a checkpoint in that format" in notes("awq")
    assert "checkpoint" not in notes("fp8")


def test_a_checkpoint_that_is_stored_so_needs_no_word() -> None:
    stored = load_model("Qwen/Qwen2.5-72B-Instruct-AWQ")
    assert stored.quantization is not None and not stored.quantization.on_request
    asked = replace(PlanRequest(), quantization="awq")
    notes = best(plan(parse_cluster_spec("4xA100-80GB"), stored, asked)).notes
    assert not any("needs a checkpoint" in note for note in notes)


def test_weights_that_are_read_whole_before_they_are_quantized() -> None:
    """135 GiB of a 72B just fit an H200 in 16 bits; one version kept the narrow copies beside them."""
    model = load_model("Qwen/Qwen2.5-72B-Instruct", quantization="fp8")
    cluster = parse_cluster_spec("1xH200")

    def asked(version: str) -> list[str]:
        request = PlanRequest(quantization="fp8", engine_version=version, max_model_len=4096)
        return [one.rule for c in plan(cluster, model, request).candidates for one in c.rejections]

    assert [asked(version) for version in ("0.12.0", "0.14.0")] == [[], []]
    assert asked("0.13.0") == [Rule.WEIGHTS_DO_NOT_FIT]


def test_gpus_newer_than_an_engine_s_builds_are_told() -> None:
    old, new = (
        best(ask(LLAMA_8B, "1xRTX-5090", engine_version=version, max_model_len=8192)).notes
        for version in ("0.8.5", "0.10.0")
    )
    assert any("no kernels for RTX-5090" in note for note in old)
    assert not any("no kernels" in note for note in new)
