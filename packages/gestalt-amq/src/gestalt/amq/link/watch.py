"""Notices a channel on which the broker answers nothing any more, while its connection lives."""

import asyncio
from time import monotonic
from typing import NamedTuple

# A channel that replaces a silent one may be silent for twice as long, and so on up to this many
# times as long: where it is not the channel's fault, others would do no better.
MOST_PATIENCE = 32
NEVER = float("inf")


class Progress(NamedTuple):
    """What became of what was sent by a channel.

    Attributes:
        answered: how much of it was answered.
        waiting: whether some of it is not.
    """

    answered: int
    waiting: bool


class Watch:
    """Measures for how long a channel has answered nothing of what awaits its answer.

    It looks only now and then, while something is in flight, so that sending costs nothing more.
    A channel hangs when that has lasted for the whole patience, and somebody's deadline has passed
    meanwhile. Both are asked for: slow disks and queues without their majority are silent, too,
    and a caller who gives up soon says nothing about the broker. One who is cancelled may have had
    a deadline that only the caller knows, or another reason: it counts where the silence had
    lasted for the patience of a first channel by then.

    Args:
        patience: how long a channel may be silent, in seconds; 0 for ever.

    Attributes:
        interval: how often it wants to look, in seconds.
        hangs: is set when the channel is taken for one that hangs.
        replaced: how many channels were replaced for that.
    """

    def __init__(self, patience: float) -> None:
        self.interval = patience / 2 or NEVER
        self.replaced = 0
        self._patience = patience or NEVER
        self.start()

    def start(self) -> None:
        """Begin anew, in whatever event loop runs then."""
        self.hangs = asyncio.Event()
        # How many times the patience the present channel has.
        self._times = 1
        # Since when nothing was answered, by whatever channel.
        self._silent_since: float | None = None
        self.begin()

    def begin(self, answered: int = 0) -> None:
        """There is a new channel.

        Args:
            answered: how much the progress that will be told of it has to begin with.
        """
        self.hangs.clear()
        self._answered = answered
        self._since: float | None = None
        # When it was looked last.
        self._looked = -NEVER
        self._ran_out = False

    def look(self, progress: Progress, *, ran_out: bool, cancelled: bool = False) -> None:
        """See how the channel gets on, and whether it hangs.

        Args:
            ran_out: a deadline has passed since the last look.
            cancelled: somebody who waited was cancelled since the last look.
        """
        before, self._looked = self._looked, monotonic()
        self._note(progress, self._looked)
        if self._since is None:
            return
        if ran_out or (cancelled and before - self._since >= self._patience):
            self._ran_out = True
        if self._ran_out and self._looked - self._since >= self._patience * self._times:
            self.hangs.set()

    def _note(self, progress: Progress, now: float) -> None:
        if progress.answered != self._answered or not progress.waiting:
            if progress.answered != self._answered:
                self._answered = progress.answered
                self._times = 1
            self.excuse()
        if not progress.waiting:
            return
        if self._since is None:
            self._since = now
        if self._silent_since is None:
            self._silent_since = now

    def excuse(self) -> None:
        """The silence has ended, or means nothing: as while the broker blocks the connection."""
        self._silent_since = self._since = None
        self._ran_out = False

    def acquit(self) -> None:
        """The broker answers on the channel all the same: what is silent is somebody else."""
        self.excuse()
        self.hangs.clear()

    def replace(self) -> float:
        """The channel is replaced; return for how long it was silent, in seconds."""
        self.replaced += 1
        self._times = min(2 * self._times, MOST_PATIENCE)
        return monotonic() - self._since if self._since is not None else 0.0

    def silence(self, progress: Progress) -> float:
        """For how long nothing was answered, by whatever channel, in seconds; 0 within patience.

        It changes nothing, and may be asked in any thread.
        """
        since = self._silent_since
        if since is None or not progress.waiting or progress.answered != self._answered:
            return 0.0
        lasted = monotonic() - since
        return lasted if lasted >= self._patience else 0.0
