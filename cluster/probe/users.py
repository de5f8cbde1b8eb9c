"""Names of users by number, without ever waiting long: a directory server may answer late or never."""

from __future__ import annotations

import pwd
import queue
import threading

_FIRST_WAIT_S = 0.1


class UserNames:
    """Looks names up in a thread of its own; until an answer arrives, a user is called by number."""

    def __init__(self, first_wait_s: float = _FIRST_WAIT_S) -> None:
        self._names: dict[int, str] = {}
        self._asked: dict[int, threading.Event] = {}
        self._questions: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._wait_s = first_wait_s
        self._thread: threading.Thread | None = None

    def name(self, uid: int) -> str:
        """Return the user's name, or the number as long as the name is not known."""
        if uid in self._names:
            return self._names[uid]
        if uid not in self._asked:
            self._ask(uid)
            answered = self._asked[uid].wait(self._wait_s)
            # Once the directory has been slow, nobody waits for it again.
            self._wait_s = self._wait_s if answered else 0.0
        return self._names.get(uid, str(uid))

    def _ask(self, uid: int) -> None:
        self._asked[uid] = threading.Event()
        self._questions.put(uid)
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer, name="user-names", daemon=True)
            self._thread.start()

    def _answer(self) -> None:
        while True:
            uid = self._questions.get()
            try:
                self._names[uid] = pwd.getpwuid(uid).pw_name
            except (KeyError, OSError):
                self._names[uid] = str(uid)
            self._asked[uid].set()
