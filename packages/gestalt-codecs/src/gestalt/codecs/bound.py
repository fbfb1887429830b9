"""What a codec has bound together for the values of one type."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .serializer import Dumps, Loads, Quick, Serializer


class Bound(NamedTuple):
    """All that encoding and decoding values of one type takes, looked up once."""

    dumps: Dumps
    loads: Loads
    serializer: Serializer
    content_type: str
    content_types: tuple[str, ...]
    type_id: int | None
    type_name: str | None
    quick: Quick | None = None

    def encode_all(self, values: Sequence[Any], bodies: list[bytes], most: int) -> bool:
        """Encode values in a loop of its own; return whether none was a special case.

        Args:
            values: at least one.
            bodies: where the body of each is appended; unless all succeed, nothing is.
            most: how many bytes a body may have.
        """
        quick = self.quick
        try:
            if quick is not None and quick.dumps_all is not None:
                made = quick.dumps_all(values)
            else:
                made = list(map(self.dumps, values))
        except Exception:
            return False
        if max(map(len, made)) > most:
            return False
        bodies += made
        return True

    def decode_all(self, bodies: Sequence[bytes], values: list[Any], most: int) -> bool:
        """Decode bodies in a loop of its own; return whether none was a special case.

        Args:
            bodies: at least one.
            values: where what each one is, is appended; unless all succeed, nothing is.
            most: how many bytes a body may have.
        """
        quick = self.quick
        if quick is None or max(map(len, bodies)) > min(quick.most, most):
            return False
        try:
            values += quick.loads_all(bodies)
        except Exception:
            return False
        return True
