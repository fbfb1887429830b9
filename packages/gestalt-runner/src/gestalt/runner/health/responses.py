"""What the health endpoint answers to which request."""

import json
from collections.abc import Callable
from typing import Any

from .asking import Question
from .connection import Response
from .verdict import Finding, Verdict

PATHS = "/livez, /readyz and /metrics"


class Responses:
    """Makes the answers to requests.

    Args:
        live: whether the application is alive.
        refused: why it is certainly not ready, without asking it; None to ask.
        ready: asks whether it can work.
        metrics: asks for the page of its metrics.
    """

    def __init__(
        self,
        *,
        live: Callable[[], Verdict],
        refused: Callable[[], Verdict | None],
        ready: Question[Verdict],
        metrics: Question[bytes],
    ) -> None:
        self._live = live
        self._refused = refused
        self._ready = ready
        self._metrics = metrics

    async def answer(self, method: str, target: str) -> Response:
        """Answer one request.

        Args:
            method: such as "GET".
            target: such as "/readyz?verbose".
        """
        path, _, query = target.partition("?")
        if path not in ("/livez", "/readyz", "/metrics"):
            return respond(404, {"error": f"there are {PATHS}"})
        if method not in ("GET", "HEAD"):
            allowed = ("Allow", "GET, HEAD")
            return respond(405, {"error": "it can be asked by GET and HEAD"}, allowed)
        if path == "/metrics":
            return await self._measure()
        verdict = self._live() if path == "/livez" else await self._judge()
        verbose = any(each.partition("=")[0] == "verbose" for each in query.split("&"))
        return respond(200 if verdict.good else 503, verdict.as_json(verbose=verbose))

    async def _judge(self) -> Verdict:
        refused = self._refused()
        if refused is not None:
            return refused
        try:
            return await self._ready.ask()
        except (TimeoutError, RuntimeError) as error:
            return Verdict("ready", (Finding("event loop", _unanswered(error)),))

    async def _measure(self) -> Response:
        if not self._live().good:  # pragma: no cover - what is blocked is killed, unwritten
            return respond(503, self._live().as_json())
        try:
            body = await self._metrics.ask()
        except ImportError as error:
            # The sentence names what is to be installed.
            return respond(501, {"error": str(error)})
        except (TimeoutError, RuntimeError) as error:
            return respond(503, {"error": f"the event loop: {_unanswered(error)}"})
        # Loaded by what has made the page.
        from gestalt.runner.exporters import CONTENT_TYPE

        return Response(200, body, CONTENT_TYPE)


def _unanswered(error: Exception) -> str:
    return "it is closed" if isinstance(error, RuntimeError) else "it did not answer in time"


def respond(status: int, content: dict[str, Any], *headers: tuple[str, str]) -> Response:
    """Answer by JSON, of one line."""
    body = json.dumps(content, ensure_ascii=False).encode() + b"\n"
    return Response(status, body, headers=headers)
