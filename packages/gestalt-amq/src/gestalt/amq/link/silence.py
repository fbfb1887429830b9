"""What becomes of a channel on which the broker answers nothing any more: another one replaces it.

Whoever has the channel sends by a new one from then on. The former takes nothing more, and may
still answer what it was given; whether it lives at all, the broker is asked on it.
"""

import asyncio
import contextlib

from gestalt.amq.errors import AmqError

from .interface import Channel
from .spawn import Spawn
from .supervisor import Supervisor
from .watch import Progress, Watch


class Silence:
    """Tells when a channel is silent, and looks after those that were replaced.

    Args:
        name: what the channels are for, in messages.
        supervisor: their connection, which has how long they may be silent, and tells of it.
        spawn: runs what looks after a channel.

    Attributes:
        watch: notices that the present channel answers nothing any more.
    """

    def __init__(self, name: str, supervisor: Supervisor, spawn: Spawn) -> None:
        self.watch = Watch(supervisor.silence_timeout)
        self._name = name
        self._supervisor = supervisor
        self._spawn = spawn
        # Before a former channel is asked again, in seconds.
        self._pause = supervisor.silence_timeout or None

    def look(self, progress: Progress | None, *, ran_out: bool, cancelled: bool = False) -> None:
        """See how the present channel gets on.

        Args:
            progress: None where there is no channel, or the broker blocks its connection.
            ran_out: a deadline has passed since the last look.
            cancelled: somebody who waited was cancelled since the last look.
        """
        if progress is None:
            self.watch.excuse()
        else:
            self.watch.look(progress, ran_out=ran_out, cancelled=cancelled)

    def trouble(self, progress: Progress) -> str | None:
        """For how long nothing has been answered, in words; None where that is usual."""
        silence = self.watch.silence(progress)
        return f"{self._name}: nothing was answered for {silence:.0f} s" if silence else None

    def note_replaced(self, waiting: int) -> None:
        """The channel is replaced, on which so many messages await their answers."""
        self._supervisor.note_silence(self._name, self.watch.replace(), waiting)

    def replace(self, channel: Channel) -> None:
        """Another channel takes the place of one that is silent."""
        self.note_replaced(len(channel.unconfirmed()))
        self._look_after(channel, silent=True)

    def let_go(self, channel: Channel) -> None:
        """Nothing more is published by a channel: close it as soon as nothing waits on it."""
        self._look_after(channel, silent=False)

    def _look_after(self, channel: Channel, *, silent: bool) -> None:
        self._spawn(self._wait(channel, silent), name=f"former channel of {self._name}")

    async def _wait(self, channel: Channel, silent: bool) -> None:
        with contextlib.suppress(AmqError):
            try:
                if silent:
                    await channel.answers()
                # Copies have no deadline: what lived when it was asked may hang later.
                while waiting := channel.unconfirmed():
                    answered, _ = await asyncio.wait(waiting, timeout=self._pause)
                    if not answered:
                        await channel.answers()
            finally:
                # One that does not answer has ended by that.
                await channel.close()
