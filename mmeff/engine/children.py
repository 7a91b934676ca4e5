"""Processes that a training forks to load images end with it, whatever ends it.

A worker of torch that has an image for a parent that was killed waits for ever in its
last line, with its memory and the open files of the parent.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

INTERVAL_S = 1


class _Forking:
    """What children need to know; functions that run at a fork cannot be unregistered."""

    is_watched = False
    is_registered = False
    parent = 0


@contextmanager
def children_end_with_us() -> Iterator[None]:
    """Context in which forked children watch their parent and ignore Ctrl-C.

    A terminal sends Ctrl-C to them as well, and the parent needs them until it has
    stopped. SIGTERM ends them as always.
    """
    if not _Forking.is_registered:
        os.register_at_fork(before=_remember_parent, after_in_child=_begin_child)
        _Forking.is_registered = True
    _Forking.is_watched = True
    try:
        yield
    finally:
        _Forking.is_watched = False


def _remember_parent() -> None:
    _Forking.parent = os.getpid()


def _begin_child() -> None:
    if not _Forking.is_watched:
        return
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(_Forking.parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL_S)
    os._exit(1)  # nothing else ends a thread that waits for a pipe
