"""An event loop that cannot watch sockets, as the default one of Windows cannot."""

import asyncio
from typing import Any, NoReturn


class CompletionLoop(asyncio.SelectorEventLoop):
    """Offers applications what asyncio.ProactorEventLoop does: `sock_recvfrom`, no `add_reader`.

    asyncio itself watches sockets by methods that are not for applications.
    """

    def _sock_read_done(self, fd: int, _: Any, handle: Any = None) -> None:
        if handle is None or not handle.cancelled():
            self._remove_reader(fd)  # type: ignore[attr-defined]

    def _sock_write_done(self, fd: int, _: Any, handle: Any = None) -> None:
        if handle is None or not handle.cancelled():
            self._remove_writer(fd)  # type: ignore[attr-defined]


def _not_implemented(*_: Any) -> NoReturn:
    raise NotImplementedError


for _name in ("add_reader", "remove_reader", "add_writer", "remove_writer"):
    setattr(CompletionLoop, _name, _not_implemented)
