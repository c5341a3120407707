# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Progress bars on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from .terminal import terminal

T = TypeVar('T')
# Without a terminal, progress is a line now and then, fit for a log file.
LOG_EVERY = 30.0


class RateColumn(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """Draw the column."""
        speed = task.finished_speed or task.speed
        return Text('' if speed is None else f'{speed:.2f}/s')


def progress_bar(rate: bool = False) -> Progress:
    """A bar with count, elapsed and remaining time, and with the rate where asked for."""
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        *([RateColumn()] if rate else []),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=terminal.quiet,
    )


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Iterate with a progress bar."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=description)


class Report(Protocol):
    """Shows progress."""

    def __call__(self, done: int, note: str = '') -> None:
        """Report how many are done, with a note to show."""
        ...


@contextmanager
def long_task(what: str, total: int, done: int = 0) -> Iterator[Report]:
    """Progress of a task of minutes to hours: a bar, or lines for a log without a terminal."""
    logged = time.monotonic()
    first: tuple[float, int] | None = None
    with progress_bar(rate=True) as bar:
        task = bar.add_task(what, total=total, completed=done)

        def report(done: int, note: str = '') -> None:
            nonlocal logged, first
            bar.update(task, completed=done, description=f'{what}{note}')
            now = time.monotonic()
            # From the first report on: what a resumed task finds done took no time.
            first = first or (now, done)
            if (
                terminal.quiet
                or sys.stderr.isatty()
                or now - logged < LOG_EVERY
                or done == first[1]
            ):
                return
            logged = now
            seconds = (now - first[0]) / (done - first[1])
            print(
                f'{done} of {total} {what}{note}, {1 / seconds:.2f}/s, '
                f'{(total - done) * seconds / 60:.0f} min left',
                file=sys.stderr,
            )

        yield report
