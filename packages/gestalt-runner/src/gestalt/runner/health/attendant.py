"""Whether an application lives and can work, for those who ask: an attendant of it."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from gestalt.core import ExtraNotInstalled
from gestalt.core.numbers import check_seconds
from gestalt.runner.attendants import Attendant, View
from gestalt.runner.defaults import CHECK_TIMEOUT
from gestalt.runner.page import own_page
from gestalt.runner.watchdog import Watchdog

from .address import HealthAddress
from .asking import Question
from .checks import Checks
from .readiness import ReadinessChecks
from .verdict import Finding, Verdict

logger = logging.getLogger("gestalt.runner")

PATIENCE = 1.0
"""How much longer than the checks the event loop may take to answer, in seconds."""

PAGE_TIMEOUT = 5.0
"""How long the page of metrics may take, in seconds: Prometheus itself waits for 10."""


class Health(Attendant):
    """Tells whether an application is alive and ready; by HTTP, where it has an address.

        run(bus, server, attendants=[Health("0.0.0.0:8080", checks={"database": pool.ping})])

    It is alive unless its event loop is blocked. It is ready when all its parts have started, until
    it begins to stop, as long as they run, those that tell it are without trouble, such as a bus
    without its broker, and all checks are well.

    Args:
        address: host:port, [ipv6]:port, :port for all interfaces, or unix:/path; None to be asked
            by other means only. Needs the extra `health`.
        checks: plain or async functions without arguments, by their names. One fails by raising,
            by returning False, or by returning a str that says why. They are called in the event
            loop, each at most once a second.
        check_timeout: how long each of them may take, in seconds.
        ignore: the names of components whose state and trouble do not count.
        watchdog: sees whether the event loop is blocked; by default, one that tells nothing.
        metrics: makes the page of `/metrics`; by default that of this process.

    Raises:
        ValueError: the address is none, or the time is negative.
        TypeError: `checks` are not functions by names.
        ExtraNotInstalled: h11 is not installed.
    """

    def __init__(
        self,
        address: str | HealthAddress | None = None,
        *,
        checks: Mapping[str, Callable[[], object]] | None = None,
        check_timeout: float = CHECK_TIMEOUT,
        ignore: Collection[str] = (),
        watchdog: Watchdog | None = None,
        metrics: Callable[[], Awaitable[bytes]] = own_page,
    ) -> None:
        timeout = check_seconds("check_timeout", check_timeout, finite=True)
        self._checks = Checks({} if checks is None else checks, timeout=timeout)
        self._patience = timeout + PATIENCE
        self._ignore = ignore
        self._metrics = metrics
        # One that was given is begun and ended by whoever gave it.
        self._watches = watchdog is None
        self._watchdog = Watchdog(tell=False) if watchdog is None else watchdog
        self._address = HealthAddress.parse(address) if isinstance(address, str) else address
        self._server: Any = None
        if self._address is not None:
            _check_installed()

    @property
    def address(self) -> HealthAddress | None:  # pragma: no cover - tests read it from the log
        """Where it listens, with the port that it was given; None where it does not."""
        return None if self._server is None else self._server.address

    async def begin(self, view: View) -> None:
        """Watch the event loop, and answer.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._view = view
        self._readiness = ReadinessChecks(
            view, self._checks, spawn=view.attend, ignore=self._ignore
        )
        if self._watches:
            await self._watchdog.begin(view)
        if self._address is not None:
            self._server = self._serve(view, self._address)

    async def end(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.stop()
        if self._watches:
            await self._watchdog.end()

    def live(self) -> Verdict:
        """Whether the application is alive; in any thread."""
        blocked = self._watchdog.blocked_for()
        trouble = f"it has been blocked for {blocked:.1f} s" if blocked else None
        return Verdict("alive", (Finding("event loop", trouble),))

    def refused(self) -> Verdict | None:
        """Why the application cannot work, where nobody has to be asked; in any thread."""
        if self._view.state != "running":
            return Verdict("ready", (Finding("application", f"it is {self._view.state}"),))
        return None if self.live().good else Verdict("ready", self.live().findings)

    async def ready(self) -> Verdict:
        """Whether the application can work; in its event loop."""
        if self._view.state != "running":
            return self.refused() or Verdict("ready")  # pragma: no cover - it stops in this turn
        verdict = await self._readiness.look()
        # It may have begun to stop meanwhile.
        return self.refused() or verdict

    async def report(self, _request: object = None) -> dict[str, Any]:
        """All that there is to say, as plain data; in its event loop."""
        ready = await self.ready()
        return {
            "live": self.live().as_json(verbose=True),
            "ready": ready.as_json(verbose=True),
        }

    def _serve(self, view: View, address: HealthAddress) -> Any:
        from .responses import Responses
        from .server import HealthServer

        responses = Responses(
            live=self.live,
            refused=self.refused,
            ready=Question(view, self.ready, name="readiness", timeout=self._patience),
            metrics=Question(view, self._metrics, name="metrics", timeout=PAGE_TIMEOUT),
        )
        server = HealthServer(address, responses.answer)
        server.start()
        logger.info("The health endpoint listens on %s", server.address)
        return server


def _check_installed() -> None:
    try:
        import h11  # noqa: F401 - asks whether it is there
    except ImportError as error:  # pragma: no cover - without h11
        raise ExtraNotInstalled(
            "the health endpoint needs h11: pip install 'gestalt-runner[health]'"
        ) from error
