"""A framing as an application makes one."""

from struct import pack

from gestalt.net import Framing
from gestalt.net.framings.base import BytesLike, as_bytes


class Own(Framing):
    """Four bytes for the type, one for the length, nothing else."""

    carries_type_id = True

    def encode(self, payload: BytesLike, type_id: int | None = None) -> bytes:
        payload = as_bytes(payload)
        return pack(">IB", type_id or 0, len(payload)) + payload

    def cut(self, data: bytes, payloads: list[bytes], type_ids: list[int]) -> tuple[int, int]:
        used = 0
        while used + 5 <= len(data):
            end = used + 5 + data[used + 4]
            if end > len(data):
                return used, end - used
            payloads.append(data[used + 5 : end])
            type_ids.append(int.from_bytes(data[used : used + 4]))
            used = end
        return used, 5
