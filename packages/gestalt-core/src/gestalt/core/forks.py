"""What a forked child must not have: sockets whose peers would not see them closed."""

import os

# Descriptors, and which file each was: the system gives the numbers of closed ones to others.
_kept: dict[int, tuple[int, int]] = {}

_FORKS = hasattr(os, "register_at_fork")


def keep_from_children(descriptor: int) -> None:
    """Take a socket away from the children that this process forks from now on.

    A connection ends when the last process has closed it. Children of multiprocessing, where it
    forks, have a copy of every descriptor, and mostly live long. This one then leads nowhere in
    them. It may be closed without a word to this module.

    Args:
        descriptor: the number of the open socket, as `fileno()` tells it.
    """
    if descriptor >= 0 and _FORKS:
        status = os.fstat(descriptor)
        _kept[descriptor] = status.st_dev, status.st_ino


def _leave_to_parent() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor, file in _kept.items():
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) == file:
                # Not closed: its owner, copied as well, may close this number once more.
                os.dup2(null, descriptor, inheritable=False)
        except OSError:
            pass  # it was closed before the fork
    os.close(null)
    _kept.clear()


if _FORKS:
    os.register_at_fork(after_in_child=_leave_to_parent)
