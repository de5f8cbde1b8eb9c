"""`python -m sglang.launch_server`: starts a fake server and prints what SGLang prints."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import socket
import sys
import time

from fake_server.api import ServerFacts
from fake_server.behaviour import behaviour, take_turn
from fake_server.core import start_core
from fake_server.figures import GIB, Figures, figures
from fake_server.log import make_noise, say
from fake_server.meeting import follow, join_leader, wait_for_followers
from fake_server.record import record_process
from fake_server.run import Server, open_port
from sglang.options import parse


def main() -> None:
    """Run until the server ends; exits with its status."""
    options = parse(sys.argv[1:])
    record_process("server", "sglang")
    now = behaviour()
    make_noise(now.noise)
    death = now.die if take_turn("death", now.die_starts if now.die else 0) else ""
    if death == "import":
        sys.exit("ImportError: libcudart.so.13: cannot open shared object file: No such file or directory")
    say(f"[{_stamp()}] server_args=ServerArgs(model_path={options.model_path!r}, tp_size={options.tp})")
    leads = options.node_rank == 0
    listener = open_port(options.host, options.port) if leads else None
    local = range(
        options.node_rank * options.tp // options.nnodes,
        (options.node_rank + 1) * options.tp // options.nnodes,
    )
    core = start_core(local, [f"scheduler_TP{rank}" for rank in local])
    links = _meet(options)
    made = _load(options, death)
    if not leads:
        follow(links[0], core[1])
        return
    assert listener is not None
    sys.exit(_serve(options, core, links, made, listener))


def _stamp() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _meet(options: argparse.Namespace) -> list[socket.socket]:
    if options.nnodes == 1:
        return []
    host, _, port = options.dist_init_addr.rpartition(":")
    if options.node_rank:
        return [join_leader(host, int(port))]
    return wait_for_followers(host, int(port), options.nnodes - 1)


def _load(options: argparse.Namespace, death: str) -> Figures:
    memory = behaviour().gpu_memory_bytes
    made = figures(
        options.model_path,
        num_ranks=options.tp * options.pp_size,
        tp=options.tp,
        dtype=options.dtype or "auto",
        max_model_len=options.context_length,
        budget_bytes=int(options.mem_fraction_static * memory),
        kv_cache_bytes=None,
    )
    pause_s = behaviour().load_s / 4
    for number, lines in enumerate(_lines(options, made, memory, pause_s)):
        for line in lines:
            say(f"[{_stamp()} TP0] {line}")
        time.sleep(pause_s)
        if number == 1 and death:
            _die(death, options.model_path)
    return made


def _lines(options: argparse.Namespace, made: Figures, memory: int, pause_s: float) -> list[list[str]]:
    free = memory / GIB - 0.6
    weights, cache = made.weights_bytes / GIB, made.kv_cache_bytes / GIB
    after = free - weights - cache
    return [
        ["Init torch distributed begin.", "Init torch distributed ends. mem usage=0.12 GB"],
        [f"Load weight begin. avail mem={free:.2f} GB"],
        [
            f"Load weight end. elapsed={pause_s:.2f} s, type=LlamaForCausalLM, "
            f"avail mem={free - weights:.2f} GB, mem usage={weights:.2f} GB.",
            f"KV Cache is allocated. dtype: torch.bfloat16, #tokens: {made.kv_cache_tokens}, "
            f"K size: {cache / 2:.2f} GB, V size: {cache / 2:.2f} GB",
            f"Memory pool end. avail mem={after:.2f} GB",
        ],
        [
            f"Capture cuda graph begin. This can take up to several minutes. avail mem={after:.2f} GB",
            f"Capture cuda graph end. Time elapsed: 1.50 s. mem usage={made.graph_bytes / GIB:.2f} GB. "
            f"avail mem={after - 0.4:.2f} GB.",
            f"max_total_num_tokens={made.kv_cache_tokens}, chunked_prefill_size=8192, "
            f"max_prefill_tokens=16384, max_running_requests={options.max_running_requests or 2048}, "
            f"context_len={made.max_model_len}, available_gpu_mem={after - 0.4:.2f} GB",
        ],
    ]


def _die(death: str, model: str) -> None:
    if death == "killed":
        os.kill(os.getpid(), 9)
    cause = "RuntimeError: made to fail while loading"
    if death == "oom":
        cause = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB."
    elif death == "unsupported":
        cause = (
            f"ValueError: Model architectures ['StrangeForCausalLM'] of {model} are not supported for now."
        )
    say(f"[{_stamp()} TP0] Scheduler hit an exception: Traceback (most recent call last):\n{cause}")
    sys.exit(1)


def _serve(
    options: argparse.Namespace,
    core: tuple[int, socket.socket],
    links: list[socket.socket],
    made: Figures,
    listener: socket.socket,
) -> int:
    facts = ServerFacts(
        engine="sglang",
        version=importlib.metadata.version("sglang"),
        model=options.model_path,
        served_name=options.served_model_name or options.model_path,
        max_model_len=made.max_model_len,
        api_keys=tuple(filter(None, [options.api_key])),
    )

    def listening() -> None:
        say(f"INFO:     Started server process [{os.getpid()}]")
        say("INFO:     Application startup complete.")
        say(f"INFO:     Uvicorn running on http://{options.host}:{options.port} (Press CTRL+C to quit)")
        say(f"[{_stamp()}] The server is fired up and ready to roll!")

    server = Server(facts, core, links, made.kv_cache_tokens, options.max_running_requests or 2048)
    return server.run(listener, listening)


if __name__ == "__main__":
    main()
