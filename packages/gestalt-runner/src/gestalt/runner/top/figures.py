"""Numbers as people read them, in few characters."""

NONE = "-"

_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))


def count(value: float | None) -> str:
    """A whole number, or thousands and millions of it."""
    if value is None:
        return NONE
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(value) >= size:
            divisor = 1e3 if unit == "k" else size
            return f"{value / divisor:.1f}{unit}"
    return f"{value:.0f}"


def rate(value: float | None) -> str:
    """How many a second."""
    if value is not None and 0 < value < 10:
        return f"{value:.1f}"
    return count(value)


def size(value: float | None) -> str:
    """Bytes."""
    if value is None:
        return NONE
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} B"


def seconds(value: float | None) -> str:
    """A time span, short ones included."""
    if value is None:
        return NONE
    if value < 0.0009995:
        return f"{value * 1e6:.0f} µs"
    if value < 0.9995:
        return f"{value * 1e3:.1f} ms" if value < 0.01 else f"{value * 1e3:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    unit, length, finer, part = next(each for each in _UNITS if whole >= each[1])
    return f"{whole // length}{unit}{whole % length // part:02}{finer}"


def share(value: float | None) -> str:
    """A share from 0 to 1, in percent."""
    return NONE if value is None else f"{100 * value:.0f}%"
