"""Reads one server's log for a screen: page after page, never more than one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from cluster.bridge.session import Session
from cluster.deploy.log_tail import LogTail
from cluster.deploy.server_names import ServerName
from cluster.errors import ClusterviewError
from cluster.text import clean

FIRST_LINES = 1000
_PAGE_LINES = 500
_MOST_PAGES = 10
_ANSWER_S = 15.0


class LogFeed:
    """Follows the log of one server."""

    def __init__(self, deployment: str, server: ServerName) -> None:
        self.deployment, self.server = deployment, server
        self.trouble = ""
        """Why nothing comes now; empty while lines come."""
        self._tail = LogTail(FIRST_LINES)

    async def news(self, session: Session) -> AsyncIterator[list[str]]:
        """Yield what was written since the last call. Never raises: a failure is in `trouble`."""
        for _ in range(_MOST_PAGES):
            lines = await self._next(session)
            if not lines:
                return
            yield lines

    async def _next(self, session: Session) -> list[str]:
        server, first = self.server, self._tail.first
        try:
            asked = session.logs(self.deployment, server.replica, server.member, first, _PAGE_LINES)
            page = await asyncio.wait_for(asyncio.wrap_future(asked), _ANSWER_S)
        except TimeoutError:
            self.trouble = f"no answer for {_ANSWER_S:.0f} s"
        except ClusterviewError as error:
            self.trouble = error.one_line()
        except Exception as error:
            self.trouble = clean(f"{type(error).__name__}: {error}")
        else:
            lines = self._tail.take(page)
            self.trouble = self._tail.note
            return lines
        return []
