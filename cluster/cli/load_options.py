"""The options of `clusterview load`, named as in `vllm bench serve`."""

from __future__ import annotations

import argparse
import math
import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from cluster.cli.option_types import positive_int, short_name, some_text, token_count
from cluster.cli.options import add_output, add_source
from cluster.load.defaults import BURSTINESS, INPUT_TOKENS, NUM_PROMPTS, OUTPUT_TOKENS
from cluster.text import clean

if TYPE_CHECKING:
    from cluster.load.mix import LoadMix

FIGURES = ("ttft", "tpot", "itl", "e2el")
"""As vLLM names them; e2el is the end-to-end latency."""
_MOST_RATE = 1e6


def load_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `load`."""
    parser.add_argument(
        "name",
        nargs="?",
        type=short_name,
        default=None,
        help="name of the deployment (default: the only one)",
    )
    parser.add_argument(
        "--url", type=some_text, default=None, metavar="URL", help="an endpoint instead: http://HOST:PORT/v1"
    )
    parser.add_argument(
        "--model",
        type=some_text,
        default=None,
        metavar="M",
        help="with --url: served model (default: the first)",
    )
    _add_mix(parser)
    _add_lengths(parser)
    keys = parser.add_argument_group("endpoint access (default: CLUSTERVIEW_API_KEY)")
    keys.add_argument("--api-key", action="append", default=None, metavar="KEY", help="API key to send")
    keys.add_argument(
        "--api-key-file", type=some_text, default=None, metavar="FILE", help="file with the API key"
    )
    add_source(parser)
    add_output(parser, top=False)
    figures = parser.add_argument_group("figures")
    figures.add_argument(
        "--percentile-metrics",
        type=_figures,
        default=FIGURES,
        metavar="LIST",
        help="figures to print: ttft,tpot,itl,e2el",
    )
    figures.add_argument(
        "--metric-percentiles",
        type=_percents,
        default=(50.0, 90.0, 99.0),
        metavar="LIST",
        help="percentiles to print (default: 50,90,99)",
    )


def _add_mix(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the requests, as in vllm bench serve")
    group.add_argument(
        "--num-prompts", type=positive_int, default=NUM_PROMPTS, metavar="N", help="number of requests"
    )
    group.add_argument(
        "--request-rate",
        type=_rate,
        default=math.inf,
        metavar="R",
        help="requests per second; inf (the default) sends them all at once",
    )
    group.add_argument(
        "--burstiness",
        type=_shape,
        default=BURSTINESS,
        metavar="X",
        help="1: Poisson arrivals; below 1: in bursts; above: more even",
    )
    group.add_argument(
        "--max-concurrency", type=positive_int, default=None, metavar="N", help="most requests in flight"
    )
    group.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="seed of lengths, prompts, arrivals"
    )


def _add_lengths(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("their lengths in tokens, as in vllm bench serve")
    group.add_argument(
        "--random-input-len",
        "--input-len",
        type=token_count,
        default=INPUT_TOKENS,
        metavar="N",
        help="prompt, without the shared prefix",
    )
    group.add_argument(
        "--random-output-len",
        "--output-len",
        type=token_count,
        default=OUTPUT_TOKENS,
        metavar="N",
        help="output",
    )
    group.add_argument(
        "--random-range-ratio",
        type=_ratio,
        default=0.0,
        metavar="X",
        help="draw lengths from (1 - X) to (1 + X) times the above",
    )
    group.add_argument(
        "--random-prefix-len", type=_tokens, default=0, metavar="N", help="tokens that all prompts begin with"
    )
    group.add_argument(
        "--ignore-eos", action="store_true", default=False, help="generate the whole output length"
    )


def mix_from(arguments: argparse.Namespace) -> LoadMix:
    """Return the mix that the options describe."""
    from cluster.load.mix import LoadMix

    rate = arguments.request_rate
    return LoadMix(
        num_prompts=arguments.num_prompts,
        request_rate=None if math.isinf(rate) else rate,
        burstiness=arguments.burstiness,
        max_concurrency=arguments.max_concurrency,
        random_input_len=arguments.random_input_len,
        random_output_len=arguments.random_output_len,
        random_range_ratio=arguments.random_range_ratio,
        random_prefix_len=arguments.random_prefix_len,
        ignore_eos=arguments.ignore_eos,
        seed=arguments.seed,
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _rate(text: str) -> float:
    rate = _number(text)
    if not (1e-6 <= rate <= _MOST_RATE or rate == math.inf):
        raise ArgumentTypeError(f"{_shown(text)} is not a number of requests per second, nor inf")
    return rate


def _shape(text: str) -> float:
    shape = _number(text)
    if not 1e-3 <= shape <= 1e6:
        raise ArgumentTypeError(f"{_shown(text)} is not a burstiness from 0.001 to 1,000,000")
    return shape


def _ratio(text: str) -> float:
    ratio = _number(text)
    if not 0 <= ratio < 1:
        raise ArgumentTypeError(f"{_shown(text)} is not a ratio from 0 to below 1")
    return ratio


def _tokens(text: str) -> int:
    return 0 if re.fullmatch("0{1,10}", text) else token_count(text)


def _seed(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ArgumentTypeError(f"{_shown(text)} is not a seed; use a whole number")
    return int(text)


def _figures(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",")[: len(FIGURES) + 1])
    if not set(names) <= set(FIGURES):
        raise ArgumentTypeError(f"{_shown(text)} names other figures than {', '.join(FIGURES)}")
    return names


def _percents(text: str) -> tuple[float, ...]:
    percents = tuple(_number(part) for part in text.split(",")[:21])
    if len(percents) > 20 or not all(0 <= percent <= 100 for percent in percents):
        raise ArgumentTypeError(f"{_shown(text)} is not a list of up to 20 percentiles from 0 to 100")
    return percents


def _shown(text: str) -> str:
    return repr(clean(text, 40))
