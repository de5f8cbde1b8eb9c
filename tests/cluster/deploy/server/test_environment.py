"""A server's environment, ports and memory."""

from __future__ import annotations

import socket

from cluster.deploy.meeting import open_meeting
from cluster.deploy.server.environment import server_environment
from cluster.deploy.server.gpu_memory import memory_by_gpu
from cluster.deploy.server.guarded import MARK
from cluster.engines.launch import Command
from cluster.inventory import Gpu, GpuProcess

COMMAND = Command(("/opt/engine/bin/python", "-m", "engine"), {"ENGINE_HOST": "10.0.0.1", "HOME": "/tmp"})


def test_what_ray_added_is_left_out_and_the_rest_stays() -> None:
    node = {
        "RAY_ADDRESS": "10.0.0.1:6379",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "3",
        "PYTHONPATH": "/tmp/ray/session",
        "PYTHONBREAKPOINT": "ray.util.rpdb.set_trace",
        "ENGINE_PORT": "1",
        "NCCL_IB_HCA": "mlx5",
        "HOME": "/root",
        "PATH": "/usr/bin",
    }
    assert server_environment(node, COMMAND, ("ENGINE_",), "mark") == {
        "NCCL_IB_HCA": "mlx5",
        "HOME": "/tmp",
        "PATH": "/opt/engine/bin:/usr/bin",
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",
        "ENGINE_HOST": "10.0.0.1",
        MARK: "mark",
    }


def test_a_command_without_a_folder_adds_none() -> None:
    assert server_environment({"PATH": "/bin"}, Command(("vllm",)), (), "m")["PATH"] == "/bin"


def test_ports_are_free_and_differ() -> None:
    meeting = open_meeting("127.0.0.1")
    ports = [meeting.http_port, *range(meeting.master_port, meeting.master_port + 8)]
    assert len(set(ports)) == 9
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
    assert open_meeting("127.0.0.1").api_key != meeting.api_key
    assert meeting.api_key not in repr(meeting)


def gpu(index: int, *processes: tuple[int, int | None]) -> Gpu:
    held = tuple(GpuProcess(pid=pid, memory_bytes=size) for pid, size in processes)
    return Gpu(index=index, uuid=f"GPU-{index}", type="any", memory_total_bytes=80, processes=held)


def test_memory_is_that_of_the_servers_processes() -> None:
    gpus = [gpu(0, (7, 10), (8, 5), (9, 60)), gpu(1, (7, None)), gpu(2, (9, 5)), gpu(3, (7, 1))]
    # Not known on 1, nothing of ours on 2, not asked for on 3.
    assert memory_by_gpu(gpus, {7, 8}, {"GPU-0", "GPU-1", "GPU-2"}) == {"GPU-0": 15}
