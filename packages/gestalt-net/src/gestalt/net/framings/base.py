"""What every framing is: an immutable value that encodes frames, and cuts them out of bytes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import repeat
from operator import length_hint
from typing import ClassVar, TypeAlias

from gestalt.net.errors import FramingError, IncompleteFrame, PayloadError

Frame: TypeAlias = tuple[bytes, int | None]
"""A payload with its type identifier, None where the framing carries none."""

TypeIds: TypeAlias = int | Sequence[int | None] | None
"""The type identifier of all payloads, or that of each."""

TypeIdsLater: TypeAlias = Callable[[], Sequence[int | None]]
"""Gives the type identifiers of frames that came together, when somebody asks for them."""

LARGE = 16 * 1024
"""A single frame below this size, in bytes, comes in a tuple: its handling needs no watch."""

BytesLike: TypeAlias = bytes | bytearray | memoryview

MAX_SIZE = 1024 * 1024
"""The default limit of a payload, in bytes."""


class Framing(ABC):
    """How messages are told apart in a stream of bytes.

    A framing holds no state of a connection, so one serves all of them. A framing of your own
    defines `encode` and `cut`.
    """

    __slots__ = ()

    carries_type_id: ClassVar[bool] = False
    """Whether a frame has a place for a type identifier."""

    @abstractmethod
    def encode(self, payload: BytesLike, type_id: int | None = None) -> bytes:
        """The bytes of one frame.

        Raises:
            PayloadError: the framing cannot carry this payload or this type identifier.
        """

    def encode_many(
        self, payloads: Sequence[BytesLike], type_ids: TypeIds = None, room: int = 0
    ) -> tuple[bytes, int]:
        """The bytes of several frames in a row: of as many payloads as fit in, at least one.

        Args:
            payloads: at least one.
            type_ids: as `encode` takes it, for all of them, or a sequence with one for each.
            room: how many bytes there is room for.

        Returns:
            The bytes, and how many frames they are.

        Raises:
            PayloadError, TypeError: as `encode` does, for any of them.
        """
        frames: list[bytes] = []
        for payload, type_id in zip(payloads, each_of(type_ids), strict=False):
            frame = self.encode(payload, type_id)
            room -= len(frame)
            if frames and room < 0:
                break
            frames.append(frame)
        return b"".join(frames), len(frames)

    @abstractmethod
    def cut(self, data: bytes, payloads: list[bytes], type_ids: list[int]) -> tuple[int, int]:
        """Cut every complete frame that `data` starts with.

        Args:
            data: what has arrived, from the start of a frame on.
            payloads: where each payload is appended.
            type_ids: where its type identifier is, by a framing that carries them.

        Returns:
            How many bytes of `data` these frames take up, and how many bytes are needed from there
            on before another attempt can find a frame; at least one more than there are.

        Raises:
            FramingError: what follows these frames is not a frame.
        """

    def cut_together(
        self, data: bytes, payloads: list[bytes]
    ) -> tuple[int, int, TypeIdsLater | None]:
        """Cut frames as `cut` does, for those who take the frames of a read together.

        Returns:
            What `cut` returns, and what gives the type identifiers; None where there are none.
        """
        type_ids: list[int] = []
        used, needed = self.cut(data, payloads, type_ids)
        if not self.carries_type_id:
            return used, needed, None
        if len(type_ids) != len(payloads):
            raise ValueError(
                f"{self!r} has cut {len(payloads)} payloads, and {len(type_ids)} type identifiers"
            )
        return used, needed, lambda: type_ids

    def single(self, data: bytes) -> Frame | None:  # noqa: ARG002 - for those that can
        """The frame that `data` is, where that is told at once; None where `cut` has to tell."""
        return None

    def whole(self, data: bytes) -> Frame:
        """The frame that `data`, a datagram, is.

        Raises:
            IncompleteFrame: it ends within a frame.
            FramingError: it is not a frame, or something follows the frame.
        """
        payloads: list[bytes] = []
        type_ids: list[int] = []
        used, _ = self.cut(data, payloads, type_ids)
        if not payloads:
            raise IncompleteFrame(f"{len(data)} bytes are not a whole frame")
        if used < len(data) or len(payloads) > 1:
            raise FramingError(f"more than one frame is in {len(data)} bytes")
        return payloads[0], type_ids[0] if self.carries_type_id else None

    def whole_together(
        self,
        datagrams: list[bytes],  # noqa: ARG002 - for those that can
    ) -> tuple[list[bytes], list[int | None]] | None:
        """What `whole` gives for each of these datagrams, where each is a frame.

        Returns:
            The payloads and the type identifiers; None where a look at each has to tell.
        """
        return None

    def decoder(self) -> "Decoder":
        """A decoder for one connection."""
        return Decoder(self)


class Frames(Iterable[Frame]):
    """Frames that came together.

    Attributes:
        payloads: those of all frames.
    """

    __slots__ = ("_type_ids", "_unpacked", "payloads")

    def __init__(self, payloads: list[bytes], type_ids: TypeIdsLater | None) -> None:
        self.payloads: list[bytes] = payloads
        self._type_ids = type_ids
        self._unpacked: Sequence[int | None] | None = None

    @property
    def type_ids(self) -> Sequence[int | None] | None:
        """Their type identifiers; None where the framing carries none."""
        if self._type_ids is None:
            return None
        if self._unpacked is None:
            # Each batch of a read asks for them, and those of all frames are unpacked.
            self._unpacked = self._type_ids()
        return self._unpacked

    def __iter__(self) -> Iterator[Frame]:
        return zip(self.payloads, self.type_ids or repeat(None), strict=False)


class Decoder:
    """Cuts the frames out of the bytes of one connection, in whatever pieces these arrive.

    It buffers an incomplete frame only, and joins its pieces once.

    Attributes:
        count: how many frames it has cut.
        pending: the beginning of an incomplete frame. Whoever clears it puts it before the bytes
            that are fed next, which saves a copy of them.
    """

    __slots__ = (
        "_carries_type_id",
        "_cut",
        "_error",
        "_framing",
        "_needed",
        "_single",
        "count",
        "pending",
    )

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._cut = framing.cut
        self._single = framing.single
        self._carries_type_id = framing.carries_type_id
        self.pending: bytearray = bytearray()
        self._needed = 0
        self._error: FramingError | None = None
        self.count: int = 0

    def feed(self, data: BytesLike) -> Iterable[Frame]:
        """Every frame that `data` completes, in order, to be read once; false if there is none.

        Raises:
            FramingError: the bytes are not frames. It carries the frames that were good before the
                fault, and it is raised again by every later call.
        """
        if self._error is not None:
            raise self._error
        pending = self.pending
        if pending:
            if len(pending) + len(data) < self._needed:
                pending += data
                return ()
            data = b"".join((pending, data))
            pending.clear()
        elif type(data) is not bytes:
            data = bytes(data)
        if len(data) < LARGE and (frame := self._single(data)) is not None:
            self.count += 1
            return (frame,)
        payloads: list[bytes] = []
        type_ids: list[int] = []
        try:
            used, self._needed = self._cut(data, payloads, type_ids)
        except FramingError as error:
            error.frames = list(zip(payloads, type_ids or repeat(None), strict=False))
            self.count += len(payloads)
            self._fail(error)
            raise
        if used < len(data):
            pending += data[used:] if used else data
        if not payloads:
            return ()
        self.count += len(payloads)
        if len(payloads) == 1 and used < LARGE and len(type_ids) == self._carries_type_id:
            # The most frequent case by far, and the pairing takes as long as the rest of it.
            return ((payloads[0], type_ids[0] if type_ids else None),)
        # The pairs are made one at a time, as they are read: thousands at once would cost more.
        if self._carries_type_id:
            return zip(payloads, type_ids, strict=True)
        return zip(payloads, repeat(None), strict=False)

    def feed_together(self, data: BytesLike) -> "Frames | tuple[()]":
        """What `feed` gives, for those who take the frames of a read together.

        Raises:
            FramingError: as `feed` does.
        """
        if self._error is not None:
            raise self._error
        pending = self.pending
        if pending:
            if len(pending) + len(data) < self._needed:
                pending += data
                return ()
            data = b"".join((pending, data))
            pending.clear()
        elif type(data) is not bytes:
            data = bytes(data)
        if (frame := self._single(data)) is not None:
            self.count += 1
            payload, type_id = frame
            return Frames([payload], (lambda: [type_id]) if self._carries_type_id else None)
        payloads: list[bytes] = []
        try:
            used, self._needed, type_ids = self._framing.cut_together(data, payloads)
        except FramingError as error:
            # Rare, and then cut once more, for the type identifiers of the good ones.
            self._fail(error)
            error.frames = self._good(data)
            self.count += len(error.frames)
            raise
        if used < len(data):
            pending += data[used:] if used else data
        self.count += len(payloads)
        return Frames(payloads, type_ids) if payloads else ()

    def _good(self, data: bytes) -> list[Frame]:
        payloads: list[bytes] = []
        type_ids: list[int] = []
        with suppress(FramingError):
            self._cut(data, payloads, type_ids)
        return list(zip(payloads, type_ids or repeat(None), strict=False))

    @property
    def incomplete(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self.pending)

    @property
    def progress(self) -> tuple[int, int]:
        """How many bytes of an incomplete frame are here, and how many are needed to go on."""
        return len(self.pending), self._needed

    def eof(self) -> None:
        """Note that the stream has ended.

        Raises:
            IncompleteFrame: it ended within a frame.
        """
        if self.pending:
            raise IncompleteFrame(
                f"the stream ended within a frame, {len(self.pending)} bytes after its start"
            )

    def _fail(self, error: FramingError) -> None:
        # A later call raises the same fault, but its good frames were given out already.
        self._error = type(error)(str(error))


def each_of(type_ids: TypeIds) -> Iterable[int | None]:
    """The type identifier of each payload, endless where all have the same."""
    return repeat(type_ids) if type_ids is None or isinstance(type_ids, int) else type_ids


def frames_left(frames: Iterator[object]) -> int:
    """How many frames there are, still, in what was made of what a `Decoder` gave."""
    left: object = frames
    if isinstance(frames, zip):
        # It tells what it pairs, for a copy, and not how much there is.
        left = frames.__reduce__()[1][0]
    return length_hint(left)


def as_bytes(payload: BytesLike) -> bytes:
    """`payload` as immutable bytes: what is queued for sending must not change any more.

    Raises:
        TypeError: it is not bytes-like.
    """
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise TypeError(f"a payload must be bytes-like, got {type(payload).__qualname__}")
    return bytes(payload)


def refuse_type_id(framing: Framing, type_id: int) -> PayloadError:
    """The error for a type identifier given to a framing that has no place for one."""
    return PayloadError(f"{framing!r} carries no type identifier, got {type_id}; Mti does")


def check_max_size(max_size: int) -> None:
    """Refuse a limit that admits nothing."""
    if max_size < 1:
        raise ValueError(f"max_size must be at least 1 byte, got {max_size}")
