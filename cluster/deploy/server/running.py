"""One server from its start to its end: process, log, startup, pulse and memory together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from cluster.deploy.rank_report import EngineFigures, RankStep
from cluster.deploy.server.calls import (
    Background,
    ServerBusy,
    ServerDoor,
    generate_token,
    listens,
    read_metrics,
)
from cluster.deploy.server.environment import server_environment
from cluster.deploy.server.gpu_memory import GpuMemory
from cluster.deploy.server.guard import CANNOT_START
from cluster.deploy.server.guarded import GuardedServer, describe_end, end_earlier, was_signalled
from cluster.deploy.server.log import ServerLog
from cluster.deploy.server.pulse import Pulse, late_after_s
from cluster.deploy.server.startup_watch import StartupWatch
from cluster.deploy.spec import DeploymentSpec
from cluster.engines.adapter import EngineAdapter, EngineMetrics
from cluster.engines.launch import Command, Member
from cluster.errors import BadInput, ClusterviewError, DeployFailed

SILENT_S = 1800.0
"""Seconds without output after which a server that has not started is given up: weights may come slowly."""
_CALL_S = 2.0
_BUSY_S = 1.0
_ENDS_S = 1.0
_LOOK_S = 0.05
_MEMORY_EVERY_S = 5.0


class RunningServer:
    """`start` it, then `look` several times a second; `look` raises DeployFailed when the server must go."""

    def __init__(
        self, spec: DeploymentSpec, adapter: EngineAdapter, member: Member, command: Command, mark: str
    ) -> None:
        assert spec.server is not None
        self._adapter, self._member, self._command, self._mark = adapter, member, command, mark
        self._served_name = spec.server.launch.served_name
        host = f"[{member.address}]" if ":" in member.address else member.address
        self.endpoint = f"http://{host}:{member.http_port}" if member.is_leader else None
        self._door = ServerDoor(self.endpoint or "", member.api_key or "")
        self.startup = StartupWatch(adapter.read_line)
        self.log = ServerLog(self.startup.hear, secret=member.api_key or "")
        late_s = late_after_s(spec.server.launch.max_model_len or spec.max_model_len)
        self._pulse = Pulse(lambda: self._generate(late_s), self._measure, late_s)
        self._listens = Background(lambda: listens(self._door, _CALL_S), "listens")
        self._is_up = False
        self._failed_proof: str | None = None
        self._memory = GpuMemory()
        self._memory_by_gpu: dict[str, int] = {}
        self._memory_at_s = 0.0
        self._process: GuardedServer | None = None

    def start(self, is_called_off: Callable[[], bool]) -> None:
        """Start the process, once an earlier one of this replica has ended."""
        end_earlier(self._mark, is_called_off)
        env = server_environment(os.environ, self._command, self._adapter.cleans, self._mark)
        self._process = GuardedServer(self._command.argv, env, self.log.feed)

    def look(self, *, has_loaded: bool) -> tuple[RankStep, str]:
        """Return the step the server is in, with the reason; DeployFailed when it has ended or must go."""
        assert self._process is not None
        if (status := self._process.exit_status()) is not None:
            raise self._ended(status)
        self._look_at_memory()
        if self._is_up or self._came_up(has_loaded):
            trouble = self._failed_proof or (self._pulse.beat() if self._member.is_leader else None)
            if trouble is not None:
                raise self._given_up(trouble)
            return RankStep.RUNNING, self._pulse.waits_for if self._member.is_leader else ""
        if self.startup.silent_s() > SILENT_S:
            raise DeployFailed(f"{self.startup.phase}: it has written nothing for {SILENT_S:.0f} s")
        return self.startup.step, f"{self.startup.phase}"

    def _came_up(self, has_loaded: bool) -> bool:
        """Whether the server takes requests; of a member that takes none, only its leader's word is known."""
        if self._member.is_leader:
            taken = self._listens.take()
            self._is_up = taken is not None and taken[0] is True
            self._listens.start()
        else:
            self._is_up = has_loaded
        return self._is_up

    def _given_up(self, trouble: str) -> ClusterviewError:
        """Return the error for a server without tokens; one that is about to end says more by how it does."""
        assert self._process is not None
        until_s = time.monotonic() + _ENDS_S
        while (status := self._process.exit_status()) is None and time.monotonic() < until_s:
            time.sleep(_LOOK_S)
        return DeployFailed(trouble) if status is None else self._ended(status)

    def _ended(self, status: int) -> ClusterviewError:
        """Return the error for a server that has ended; BadInput if it would end so again."""
        how = describe_end(status)
        last = self.log.last_line if self._is_up else self.startup.first_exception or self.log.last_line
        # What a server that has served wrote may be a user's text.
        if self.startup.permanent_error and not (self._is_up or was_signalled(status)):
            return BadInput(f"{self.startup.permanent_error} ({how})")
        words = f"{how}: {last}" if last and not was_signalled(status) else how
        return BadInput(words) if status == CANNOT_START else DeployFailed(words)

    def _look_at_memory(self) -> None:
        if self._process is not None and time.monotonic() - self._memory_at_s > _MEMORY_EVERY_S:
            self._memory_at_s = time.monotonic()
            self._memory_by_gpu = self._memory.held_by(self._process.pids(), self._member.gpu_uuids)

    def prove(self, deadline_s: float) -> None:
        """Generate one token; otherwise the server is given up, and DeployFailed raised."""
        try:
            self._generate_unless_busy(time.monotonic() + deadline_s)
        except DeployFailed as error:
            self._failed_proof = error.message
            raise
        self._pulse.proven()

    def _generate_unless_busy(self, until_s: float) -> None:
        """Generate one token; a server that is busy is asked again until then."""
        while True:
            try:
                return self._generate(until_s - time.monotonic())
            except ServerBusy:
                if time.monotonic() + _BUSY_S > until_s:
                    raise
            time.sleep(_BUSY_S)

    def _generate(self, deadline_s: float) -> None:
        generate_token(self._door, self._adapter, self._served_name, deadline_s)

    def _measure(self) -> EngineMetrics | None:
        return read_metrics(self._door, self._adapter, _CALL_S)

    def deadline_s(self, step: RankStep, age_s: float) -> float | None:
        """Return after how many seconds in this step the server is given up, if it writes nothing more."""
        if self._process is None or step in (RankStep.RUNNING, RankStep.FAILED, RankStep.STOPPED):
            return None
        return age_s + SILENT_S - self.startup.silent_s() + 60.0

    def figures(self) -> EngineFigures:
        """Return what the server measured of itself, and its memory by NVML."""
        return replace(self._pulse.figures(), memory_by_gpu=self._memory_by_gpu)

    def end(self) -> None:
        """End the server and the reading of its GPUs; returns when nothing is left."""
        if self._process is not None:
            self._process.end()
        self._memory.close()
