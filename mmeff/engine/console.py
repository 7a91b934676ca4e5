"""A terminal that starts with what people want to read.

mmengine logs the environment, the config, the order of the hooks and the decay of every
weight, hundreds of lines before the first iteration. The log file has them all.
"""

import io
import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner

PACKAGE = Path(__file__).parents[1]


def build_quietly(build: Callable[[], Runner]) -> Runner:
    """Build a Runner whose log comes to the terminal only when its run begins.

    Warnings, and what mmeff itself has to say, come at once.
    """
    with redirect_stdout(io.StringIO()) as said:  # its logger writes to this for now
        runner = build()
    for line in said.getvalue().splitlines():
        if ' - WARNING - ' in line or ' - ERROR - ' in line:
            print(line)
    handlers = [h for h in runner.logger.handlers if type(h) is logging.StreamHandler]
    for handler in handlers:
        handler.setStream(sys.stdout)
        handler.addFilter(_is_for_people)
    runner.register_hook(_SpeakHook(handlers), priority='VERY_HIGH')
    return runner


def _is_for_people(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or PACKAGE in Path(record.pathname).parents


class _SpeakHook(Hook):
    """Lets the terminal have the whole log from here on."""

    def __init__(self, handlers: list[logging.Handler]) -> None:
        self.handlers = handlers

    def before_run(self, runner) -> None:
        for handler in self.handlers:
            handler.removeFilter(_is_for_people)
