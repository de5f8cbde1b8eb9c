"""Options: what they mean, before and after a verb."""

from __future__ import annotations

import argparse

import pytest

from cluster.cli.arguments import OneLineParser, build_parser, parse_arguments
from cluster.cli.resolve import model_from, ray_address_from, request_from
from cluster.errors import BadInput

SHARED = {
    "--model", "--address", "--simulate", "--cluster", "--tp", "--pp", "--dp", "--ep", "--max-model-len",
    "--max-num-seqs", "--gpu-memory-utilization", "--dtype", "--quantization", "--kv-cache-dtype",
    "--input-tokens", "--output-tokens", "--concurrency", "--objective", "--ttft-ms", "--tpot-ms",
    "--workload", "--engine", "--engine-version", "--top", "--json", "--load-format",
}  # fmt: skip


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def verbs() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def test_the_app_dry_run_and_deploy_share_their_options() -> None:
    assert options_of(build_parser()) >= SHARED
    assert options_of(verbs()["deploy"]) >= SHARED
    assert set(verbs()) >= {"deploy", "status", "logs", "stop", "load", "report", "snapshot", "doctor"}
    assert all(isinstance(verb, OneLineParser) for verb in verbs().values())


def test_options_hold_before_and_after_the_verb() -> None:
    before = parse_arguments(["--model", "m", "--tp", "2", "deploy"])
    after = parse_arguments(["deploy", "--model", "m", "--tp", "2"])
    assert (before.model, before.tp, before.verb) == (after.model, after.tp, after.verb) == ("m", 2, "deploy")
    assert after.input_tokens == 1024 and request_from(after).top == 8


@pytest.mark.parametrize(
    ("option", "value"),
    [("--input-tokens", "7"), ("--decode-context-parallel-size", "2"), ("--objective", "latency")],
)
def test_a_default_of_the_verb_does_not_undo_an_option_before_it(option: str, value: str) -> None:
    before = request_from(parse_arguments([option, value, "deploy"]))
    assert (
        before
        == request_from(parse_arguments(["deploy", option, value]))
        != request_from(parse_arguments([]))
    )


def test_an_alias_may_always_ask_for_ascii() -> None:
    assert parse_arguments(["--ascii", "status"]).verb == "status"


def test_a_request_from_options() -> None:
    options = "--dry-run --tp 2 --max-model-len 32K --dtype half --kv-cache-dtype fp8_e4m3 --tpot-ms 40"
    more = "--objective latency --engine sglang --concurrency 7"
    request = request_from(parse_arguments([*options.split(), *more.split()]))
    assert (request.tp, request.max_model_len) == (2, 32768)
    assert (request.dtype, request.kv_cache_dtype, request.tpot_s) == ("fp16", "fp8", 0.04)
    assert (request.objective, request.engine, request.concurrency) == ("latency", "sglang", 7)
    assert request.engine_asked and not request_from(parse_arguments([])).engine_asked
    assert request_from(parse_arguments([])).engine == "vllm"


def test_dtype_changes_the_model() -> None:
    arguments = parse_arguments(["--model", "meta-llama/Llama-2-7b-hf", "--dtype", "fp32"])
    assert model_from(arguments).dtype == "fp32"


def test_ray_address_comes_from_the_environment_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert ray_address_from(parse_arguments([])) == "10.0.0.1:6379"
    assert ray_address_from(parse_arguments(["--address", "a:1"])) == "a:1"
    assert ray_address_from(parse_arguments(["--simulate", "1xL4"])) is None


@pytest.mark.parametrize(
    "text", ["--model", "--top 0", "deploy --name ../x", "stop a b", "export docker", "doctor x"]
)
def test_bad_options_raise(text: str) -> None:
    with pytest.raises(BadInput):
        parse_arguments(text.split())
