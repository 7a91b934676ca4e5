"""A line on the terminal while something is measured."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

REFRESH_SECONDS = 0.5


@contextmanager
def live_line(console: Console) -> Iterator[Callable[[str], None]]:
    """A line that tells what is going on, and the function that updates it.

    It is drawn between runs only: a thread that refreshes it, as rich has by default,
    would take time from what is measured.
    """
    if not console.is_terminal:
        yield lambda _: None
        return
    drawn = 0.0
    with Live('building', console=console, auto_refresh=False, transient=True) as live:

        def tell(text: str) -> None:
            nonlocal drawn
            if time.perf_counter() - drawn > REFRESH_SECONDS:
                live.update(text, refresh=True)
                drawn = time.perf_counter()

        yield tell
