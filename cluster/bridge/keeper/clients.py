"""The sessions connected to a keeper: they receive its startup progress, and are counted."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import threading

_LOOK_S = 0.5


class KeeperClients:
    """The sessions connected to the keeper, accepted by a thread of its own while nodes start."""

    def __init__(self, path: str) -> None:
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(path)
        self._server.listen(64)
        self._server.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._sessions: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._last_line = b""
        self.had_sessions = self.is_up = False
        threading.Thread(target=self._accept_all, name="clients", daemon=True).start()

    def send(self, **fields: object) -> None:
        """Send a line to every session, and to each that comes before the next line."""
        with self._lock:
            self._last_line = json.dumps(fields).encode() + b"\n"
            for session in list(self._sessions):
                self._send_last_line(session)

    def count(self) -> int:
        """Return how many sessions are connected."""
        with self._lock:
            return len(self._sessions)

    def _accept_all(self) -> None:
        while True:
            for key, _ in self._selector.select(_LOOK_S):
                connection = key.fileobj
                if isinstance(connection, socket.socket):
                    with self._lock:
                        self._handle(connection)

    def _handle(self, connection: socket.socket) -> None:
        if connection is not self._server:
            if not _has_more(connection):
                self._drop(connection)
            return
        with contextlib.suppress(OSError):
            session, _ = self._server.accept()
            session.setblocking(False)
            self._selector.register(session, selectors.EVENT_READ)
            self._sessions.add(session)
            self.had_sessions = True
            self._send_last_line(session)

    def _send_last_line(self, session: socket.socket) -> None:
        try:
            session.sendall(self._last_line)
        except OSError:
            self._drop(session)

    def _drop(self, session: socket.socket) -> None:
        self._sessions.discard(session)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(session)
        session.close()

    def close(self) -> None:
        """Accept no more sessions and close the connections."""
        with self._lock:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(self._server)
            self._server.close()
            for session in list(self._sessions):
                self._drop(session)


def _has_more(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(4096))
    except BlockingIOError:
        return True
    except OSError:
        return False
