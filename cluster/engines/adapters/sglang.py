"""SGLang: `sglang.launch_server`, one server per replica, with its own multi-node options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from cluster.engines.adapter import EngineMetrics, ProofRequest
from cluster.engines.answers import completion_proof, has_completion_token
from cluster.engines.launch import Command, Member, ServerLaunch
from cluster.engines.log_rules import LogRule, permanent_error, read_by_rules, split_line
from cluster.engines.options import given, has_option, missing_option, option_of_ours
from cluster.engines.prometheus import read_prometheus
from cluster.engines.startup import LogNews, StartupPhase

_EXPERTS_BY_SIZE = "experts spread by --ep-size alone"
_FIRST = {  # first release that has an option
    "--pp-size": "0.4.7",
    _EXPERTS_BY_SIZE: "0.4.9",
    "--dcp-size": "0.5.20",
    "--cuda-graph-backend-decode": "0.5.20",
    "--attn-dp-size": "0.5.22",
}
# What the user's further arguments may not set: where the server and its ranks run, and its key.
_OURS = [
    "--api-key",
    "--attn-dp-size",
    "--base-gpu-id",
    "--dist-init-addr",
    "--dp-size",
    "--host",
    "--model-path",
    "--nnodes",
    "--node-rank",
    "--port",
    "--pp-size",
    "--served-model-name",
    "--tp-size",
]
_KEY_VARIABLE = "CLUSTERVIEW_SERVER_KEY"
# Other users of a node can read a command line, but not the environment of a process of another user. No
# variable sets this option, so it is added to the arguments inside the process.
_WITH_KEY = (
    "import os, runpy, sys; "
    f"sys.argv[1:] += ['--api-key', os.environ.pop('{_KEY_VARIABLE}')]; "
    "runpy.run_module('sglang.launch_server', run_name='__main__', alter_sys=True)"
)
_CACHE_DTYPES = {"fp8": "fp8_e4m3"}
_KV_SIZES = {"kv_cache_tokens": "#tokens: *", "kv_cache_bytes": "K size: * + V size: *"}
_ONE_KV_SIZE = {"kv_cache_tokens": "#tokens: *", "kv_cache_bytes": "KV size: *"}
_WEIGHTS = {"weights_bytes": "mem usage=*", "weights_load_s": "elapsed=*"}
_GRAPHS = {"cuda_graph_bytes": "mem usage=*", "cuda_graph_s": "elapsed=*"}
_OLD_GRAPHS = {"cuda_graph_bytes": "mem usage=*", "cuda_graph_s": "elapsed: *"}
_SCHEDULER = {"kv_cache_tokens": "max_total_num_tokens=*", "max_model_len": "context_len=*"}
_LOG = (  # of all releases since 0.4.6; the first rule whose text is in a line counts
    LogRule("server_args=", StartupPhase.STARTING),
    LogRule("torch distributed ends", StartupPhase.STARTING, {"non_torch_bytes": "mem usage=*"}),
    LogRule("Load weight begin", StartupPhase.LOADING),
    LogRule("checkpoint shards:", StartupPhase.LOADING, has_percent=True),
    LogRule("Load weight end", StartupPhase.PROFILING, _WEIGHTS),
    LogRule(", V size: ", StartupPhase.KV_CACHE, _KV_SIZES),
    LogRule(", KV size: ", StartupPhase.KV_CACHE, _ONE_KV_SIZE),
    LogRule("Memory pool end", StartupPhase.KV_CACHE),
    LogRule("graph end. Time elapsed", StartupPhase.CAPTURING, _OLD_GRAPHS),
    LogRule("graph end. elapsed", StartupPhase.CAPTURING, _GRAPHS),
    LogRule("graph begin", StartupPhase.CAPTURING),
    LogRule("Capturing ", StartupPhase.CAPTURING, has_percent=True),
    LogRule("max_total_num_tokens=", StartupPhase.CAPTURING, _SCHEDULER),
    LogRule("The server is fired up", StartupPhase.LISTENING),
    LogRule("Uvicorn running on", StartupPhase.LISTENING),
)
_PERMANENT = (
    ": No module named sglang",  # of the interpreter
    " are not supported for now",
    "does not recognize this architecture",
    "contains custom code which must be executed",
    "Not enough memory. Please try to increase --mem-fraction-static",
    "Cannot find any model weights",
    "is not supported for the current GPU",
    "no kernel image is available",
    "is not a valid model identifier",
    "You are trying to access a gated repo",
    "Repository Not Found",
)
_PERMANENT_EXCEPTIONS = ("ImportError: ", "ModuleNotFoundError: ", "AssertionError: ")
_METRICS = {
    "running": ("sglang:num_running_reqs",),
    "waiting": ("sglang:num_queue_reqs",),
    "kv_cache_use": ("sglang:token_usage",),
    "prompt_tokens_total": ("sglang:prompt_tokens_total",),
    "output_tokens_total": ("sglang:generation_tokens_total",),
    "requests_total": ("sglang:num_requests_total",),
    "prefix_queries_total": ("sglang:prompt_tokens_total",),
    "prefix_hits_total": ("sglang:cached_tokens_total",),
    "preemptions_total": ("sglang:num_retracted_requests_total",),
    "ttft_sum_s": ("sglang:time_to_first_token_seconds_sum",),
    "ttft_count": ("sglang:time_to_first_token_seconds_count",),
    "tpot_sum_s": ("sglang:inter_token_latency_seconds_sum", "sglang:time_per_output_token_seconds_sum"),
    "tpot_count": ("sglang:inter_token_latency_seconds_count", "sglang:time_per_output_token_seconds_count"),
}


class Sglang:
    """The adapter of SGLang."""

    name = "sglang"
    distributions = ("sglang",)
    cleans = ("CUDA_VISIBLE_DEVICES", "SGLANG_HOST_IP", "HOST_IP", "SGLANG_PP_LAYER_PARTITION")

    def refusal(self, launch: ServerLaunch, members: tuple[Member, ...], version: str) -> str:
        """Return in one line why this version cannot run these members; '' if it can."""
        if launch.kv_cache_memory_bytes is not None:
            return (
                "SGLang has no option for the size of the KV cache in bytes: "
                "set --gpu-memory-utilization instead of --kv-cache-memory-bytes"
            )
        if launch.pp > 1 and launch.attention_dp > 1 and len(members) > 1:
            return (
                "SGLang divides pipeline stages over nodes before attention ranks, unlike the planned ranks: "
                "choose a layout without PP"
            )
        if launch.kv_cache_dtype == "float16":
            return "SGLang has no float16 KV cache for models of another dtype: leave out --kv-cache-dtype"
        options = (arg for member in members for arg in _options(launch, member, version))
        ours = option_of_ours(launch.extra_args, _OURS)
        return ours or missing_option("SGLang", options, version, _FIRST)

    def command(self, launch: ServerLaunch, member: Member, version: str, python: str) -> Command:
        """Return the command that starts a member with this interpreter."""
        program, env = (python, "-m", "sglang.launch_server"), _env(launch, member)
        if member.api_key and member.is_leader:
            program, env[_KEY_VARIABLE] = (python, "-c", _WITH_KEY), member.api_key
        return Command((*program, *_options(launch, member, version)), {**env, "PYTHONUNBUFFERED": "1"})

    def printed_command(self, launch: ServerLaunch, member: Member, version: str) -> Command:
        """Return the command as a person types it."""
        program = ("python3", "-m", "sglang.launch_server")
        return Command((*program, *_options(launch, member, version)), _env(launch, member))

    def read_line(self, line: str) -> LogNews | None:
        """Return what a line of the server's output says; None: nothing that matters here."""
        read = split_line(line)
        error = permanent_error(read, _PERMANENT, _PERMANENT_EXCEPTIONS)
        return LogNews(permanent_error=error) if error else read_by_rules(read, _LOG)

    def proof(self, served_name: str) -> ProofRequest:
        """Return the request whose answer proves that the server generates."""
        return completion_proof(served_name)

    def has_token(self, answer: Mapping[str, Any]) -> bool:
        """Return whether the JSON answer to `proof` holds a generated token."""
        return has_completion_token(answer)

    def read_metrics(self, text: str) -> EngineMetrics:
        """Read the server's /metrics (Prometheus text)."""
        return read_prometheus(text, _METRICS)


def _options(launch: ServerLaunch, member: Member, version: str) -> tuple[str, ...]:
    """Return all arguments; what the user added comes last, so that it wins."""
    parts = (_served(launch, member), _parallel(launch, member, version), _limits(launch, version))
    return (*chain.from_iterable(parts), *launch.extra_args)


def _served(launch: ServerLaunch, member: Member) -> Iterator[str]:
    yield from ("--model-path", launch.model, "--served-model-name", launch.served_name)
    yield from given("--revision", launch.revision)
    if launch.load_format != "auto":
        yield from ("--load-format", launch.load_format)
    yield from ("--host", member.address)  # the other members answer to health checks there
    yield from given("--port", member.http_port or None)
    if member.is_leader:
        yield "--enable-metrics"
    if launch.device == "cpu":
        yield from ("--device", "cpu")


def _parallel(launch: ServerLaunch, member: Member, version: str) -> Iterator[str]:
    ranks = launch.tp * launch.attention_dp  # its TP group holds the attention ranks
    if ranks > 1:
        yield from ("--tp-size", str(ranks))
    if launch.pp > 1:
        yield from ("--pp-size", str(launch.pp))
    if launch.decode_context_parallel > 1:
        yield from ("--dcp-size", str(launch.decode_context_parallel))
    if launch.attention_dp > 1:
        if has_option("--attn-dp-size", version, _FIRST):
            yield from ("--attn-dp-size", str(launch.attention_dp))
        else:
            yield from ("--dp-size", str(launch.attention_dp), "--enable-dp-attention")
    if launch.expert_parallel:
        yield from ("--ep-size", str(ranks))
        if not has_option(_EXPERTS_BY_SIZE, version, _FIRST):
            yield "--enable-ep-moe"
    if member.num_members > 1:
        yield from ("--dist-init-addr", f"{member.master_address}:{member.master_port}")
        yield from ("--nnodes", str(member.num_members), "--node-rank", str(member.number))


def _limits(launch: ServerLaunch, version: str) -> Iterator[str]:
    cache, seqs = launch.kv_cache_dtype, launch.max_num_seqs
    yield from given("--dtype", launch.dtype)
    yield from given("--quantization", launch.quantization)
    yield from given("--kv-cache-dtype", _CACHE_DTYPES.get(cache, cache) if cache else None)
    yield from given("--context-length", launch.max_model_len)
    # Counted over all attention ranks, not for each as in the plan.
    yield from given("--max-running-requests", None if seqs is None else seqs * launch.attention_dp)
    yield from given("--chunked-prefill-size", launch.max_num_batched_tokens)
    yield from given("--mem-fraction-static", launch.gpu_memory_utilization)
    if not launch.enforce_eager:
        return
    if has_option("--cuda-graph-backend-decode", version, _FIRST):
        yield from ("--cuda-graph-backend-decode", "disabled", "--cuda-graph-backend-prefill", "disabled")
    else:
        yield "--disable-cuda-graph"


def _env(launch: ServerLaunch, member: Member) -> dict[str, str]:
    env: dict[str, str] = {}
    if launch.device != "cpu" and member.gpu_indices:
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # NVML's order; CUDA's own puts the fastest GPU first
        env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, member.gpu_indices))
    if launch.layers_per_stage:
        env["SGLANG_PP_LAYER_PARTITION"] = ",".join(map(str, launch.layers_per_stage))
    if member.num_members > 1:
        env["SGLANG_HOST_IP"] = member.address
    if member.interface and launch.tp * launch.pp * launch.attention_dp > 1:
        env.update(NCCL_SOCKET_IFNAME=member.interface, GLOO_SOCKET_IFNAME=member.interface)
    return env


ENGINE = Sglang()
