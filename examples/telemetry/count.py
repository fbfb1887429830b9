"""What has come of the numbered samples of each agent."""

from .messages import Sample


class Count:
    """Counts samples by their sequence numbers.

    Attributes:
        received: samples that came, each counted once.
        repeated: samples that came again, sent once more after a connection was lost.
        gaps: samples that are missing between others of the same agent.
    """

    def __init__(self) -> None:
        self.received = self.repeated = self.gaps = 0
        self._last: dict[str, int] = {}

    def has(self, sample: Sample) -> bool:
        """Whether the sample, or a later one of its agent, came before."""
        return sample.sequence <= self._last.get(sample.agent, 0)

    def add(self, sample: Sample) -> bool:
        """Count a sample, and tell whether it is new."""
        if self.has(sample):
            self.repeated += 1
            return False
        # Of an agent that was there before us, the first sample that we see is the first.
        self.gaps += sample.sequence - self._last.get(sample.agent, sample.sequence - 1) - 1
        self._last[sample.agent] = sample.sequence
        self.received += 1
        return True

    def summary(self) -> dict[str, int]:
        return {"received": self.received, "repeated": self.repeated, "gaps": self.gaps}
