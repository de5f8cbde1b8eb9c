"""Starts a fake server as its options say: checks, load, meeting with other nodes, memory figures, HTTP."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import signal
import socket
import sys
import time
from typing import Any

from fake_server.api import ServerFacts
from fake_server.behaviour import behaviour, take_turn
from fake_server.core import start_core
from fake_server.figures import Figures, figures, read_config
from fake_server.log import Printer, make_noise
from fake_server.meeting import follow, join_leader, wait_for_followers
from fake_server.record import record_process
from fake_server.run import Server, open_port
from vllm import start_log
from vllm.deaths import die


def serve(options: argparse.Namespace) -> None:
    """Run until the server ends; exits with its status."""
    record_process("server", "vllm")
    # A server that is told to end while it loads does so.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour().ignore_sigterm else signal.SIG_DFL)
    make_noise(behaviour().noise)
    death = behaviour().die if take_turn("death", behaviour().die_starts if behaviour().die else 0) else ""
    if death == "import":
        die(death, options.model)
    out = Printer("APIServer")
    start_log.opening(out, options, importlib.metadata.version("vllm"))
    _check_model(options.model)
    if death in ("unsupported", "port"):
        die(death, options.model)
    listener = None if options.headless else open_port(options.host, options.port)
    core = _start_processes(options)
    links = _meet(options)
    figures_ = _load(options, core[0], death)
    if options.headless:
        follow(links[0], core[1])
        return
    assert listener is not None
    sys.exit(_serve(options, core, links, figures_, listener, out))


def _check_model(model: str) -> None:
    if model.startswith(("/", ".")) and not read_config(model):
        sys.exit(
            f"OSError: Can't load the configuration of '{model}'. If you were trying to load it from "
            "'https://huggingface.co/models', make sure you don't have a local directory with the same name."
        )


def _start_processes(options: argparse.Namespace) -> tuple[int, socket.socket]:
    """Fork the core and its workers; with one rank, the core is the worker."""
    ranks = _local_ranks(options)
    tp = options.tensor_parallel_size
    names = [f"Worker_TP{rank % tp}" for rank in ranks] if _num_ranks(options) > 1 else []
    return start_core(ranks if names else (), names)


def _num_ranks(options: argparse.Namespace) -> int:
    return int(options.tensor_parallel_size * options.pipeline_parallel_size * options.data_parallel_size)


def _local_ranks(options: argparse.Namespace) -> range:
    """Return the ranks of this node, counted over the whole server."""
    per_engine = options.tensor_parallel_size * options.pipeline_parallel_size
    if options.nnodes > 1:
        count = per_engine * options.data_parallel_size // options.nnodes
        return range(options.node_rank * count, (options.node_rank + 1) * count)
    first = options.data_parallel_start_rank * per_engine
    return range(first, first + options.data_parallel_size_local * per_engine)


def _meet(options: argparse.Namespace) -> list[socket.socket]:
    """Wait for the other nodes' servers; return the connections to them."""
    address, port, num_nodes = options.master_addr, options.master_port, options.nnodes
    if options.data_parallel_size_local < options.data_parallel_size:
        address = options.data_parallel_address or address
        port = options.data_parallel_rpc_port or 29550
        num_nodes = -(-options.data_parallel_size // options.data_parallel_size_local)
    if num_nodes == 1:
        return []
    if options.headless:
        return [join_leader(address, port)]
    return wait_for_followers(address, port, num_nodes - 1)


def _load(options: argparse.Namespace, core: int, death: str) -> Figures:
    """Print what loading prints, in as much time as asked for; return the figures that were printed."""
    total_s = behaviour().load_s
    made = _figures(options)
    start_log.engine(Printer("EngineCore", core), options)
    worker = Printer("Worker_TP0" if options.tensor_parallel_size > 1 else "EngineCore", core)
    for step, lines in enumerate(start_log.loading(worker, options, made, total_s)):
        lines()
        time.sleep(total_s / start_log.NUM_STEPS)
        if step == 3 and death:
            if death == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            os.kill(core, signal.SIGKILL)
            die(death, options.model)
    return made


def _figures(options: argparse.Namespace) -> Figures:
    memory = behaviour().gpu_memory_bytes
    return figures(
        options.model,
        num_ranks=options.tensor_parallel_size * options.pipeline_parallel_size,
        tp=options.tensor_parallel_size,
        dtype=options.dtype,
        max_model_len=options.max_model_len,
        budget_bytes=int(options.gpu_memory_utilization * memory),
        kv_cache_bytes=options.kv_cache_memory_bytes,
    )


def _serve(
    options: argparse.Namespace,
    core: tuple[int, socket.socket],
    links: list[socket.socket],
    made: Figures,
    listener: socket.socket,
    out: Printer,
) -> int:
    facts = ServerFacts(
        engine="vllm",
        version=importlib.metadata.version("vllm"),
        model=options.model,
        served_name=(options.served_model_name or [options.model])[0],
        max_model_len=made.max_model_len,
        api_keys=tuple(_api_keys(options)),
    )
    server = Server(facts, core, links, made.kv_cache_tokens, options.max_num_seqs)
    return server.run(listener, lambda: start_log.listening(out, options))


def _api_keys(options: Any) -> list[str]:
    given = options.api_key or []
    return list(given) if given else list(filter(None, [os.environ.get("VLLM_API_KEY")]))
