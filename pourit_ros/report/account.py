# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Account for every frame of a run: for the terminal, summary.json and the page."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..files import replacing

SUMMARY = 'summary.json'
# Causes that a line names; summary.json has all of them.
SHOWN = 5
UNKNOWN = 'no reason given'
# A cause may quote a library's text, and a line must stay one.
CAUSE_LENGTH = 200

_NUMBER = re.compile(r'\d+(?:\.\d+)?')


class Measured(Protocol):
    """What the account needs of a frame: a row of estimates.csv, or an estimate."""

    @property
    def present(self) -> bool:
        """Liquid was seen."""
        ...

    @property
    def valid(self) -> bool:
        """Every quantity was measured."""
        ...

    @property
    def reason(self) -> str:
        """Why something was not measured; reasons joined by '; '."""
        ...


@dataclass
class Account:
    """What happened to the frames of a run. All counts are frames, except `skipped`.

    `given` = `answered` + all `lost` + all `dropped`. `lost`, by cause: what could not be read or
    used. `dropped`, by cause: what was left out by design, such as an image that a newer one
    replaced. `measured` of the `liquid` ones, None if a command does not measure; `partly`, of
    those not measured, have everything that their input allows (a scene without a target has no
    distance); `not_measured` says why not, by reason (a frame can have several). `depth_used` of
    the answered ones, None if a command uses no depth; `depth_unused` by cause. `skipped`: other
    unused input, by cause. `hints`: lines that help, such as the existing names where one was
    mistyped. `notes`: lines about the results. `what` and `done` are the words for the frames
    ('images') and for answering ('kept'). `facts` go into summary.json unchanged.
    `problem`: what failed although the frames did not, such as a controller.
    """

    command: str
    given: int
    answered: int = 0
    liquid: int = 0
    measured: int | None = None
    partly: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    depth_used: int | None = None
    depth_unused: Counter[str] = field(default_factory=Counter)
    not_measured: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    hints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    what: str = 'frames'
    done: str = 'answered'
    facts: dict[str, Any] = field(default_factory=dict)
    problem: str = ''

    def add_rows(self, rows: Iterable[Measured]) -> None:
        """Add answered frames, with presence, measurements and reasons for missing ones."""
        rows = list(rows)
        wet = [row for row in rows if row.present]
        self.answered += len(rows)
        self.liquid += len(wet)
        self.measured = (self.measured or 0) + sum(row.valid for row in wet)
        self.not_measured.update(
            count_reasons(row.reason or UNKNOWN for row in wet if not row.valid)
        )

    def settle(self, cause: str) -> None:
        """Balance the account: count frames without a cause as lost for this one.

        If there are more frames than announced, `given` rises.
        """
        known = self.answered + self.lost.total() + self.dropped.total()
        if known < self.given:
            self.lost[cause] += self.given - known
        self.given = max(self.given, known)

    def faults(self) -> list[str]:
        """Counts that do not add up; empty if all do."""
        faults = []
        counters = self.lost, self.dropped, self.depth_unused, self.not_measured, self.skipped
        numbers = [self.given, self.answered, self.liquid, self.measured or 0, self.partly]
        if min([*numbers, *(n for counter in counters for n in counter.values())]) < 0:
            faults.append('a count is negative')
        known = self.answered + self.lost.total() + self.dropped.total()
        if self.given != known:
            faults.append(f'{self.given} given, {known} accounted for')
        if self.liquid > self.answered:
            faults.append(f'liquid in {self.liquid} of {self.answered}')
        if self.measured is not None:
            missing = self.liquid - self.measured
            if missing < self.partly:
                faults.append(
                    f'measured {self.measured} and {self.partly} partly, '
                    f'of {self.liquid} with liquid'
                )
            # Each frame has a reason at least, and counts once for a reason.
            most = max(self.not_measured.values(), default=0)
            if not most <= missing <= self.not_measured.total():
                faults.append(f'{missing} not measured, but reasons for {dict(self.not_measured)}')
        if self.depth_used is not None:
            depth = self.depth_used + self.depth_unused.total()
            if depth != self.answered or self.depth_used < 0:
                faults.append(f'depth of {depth} of {self.answered} accounted for')
        return faults

    def check(self) -> None:
        """Raise ArithmeticError when the counts do not add up, which is a bug."""
        faults = self.faults()
        if faults:
            raise ArithmeticError(
                f'{self.command}: the frame counts do not add up: {"; ".join(faults)}'
            )

    @property
    def nothing_measured(self) -> bool:
        """Whether liquid was seen but never measured."""
        return self.measured == 0 and self.liquid > 0 and not self.partly

    @property
    def status(self) -> int:
        """Exit status: 1 when some input failed or nothing could be measured, else 0."""
        failed = self.nothing_measured or bool(self.problem)
        return int(failed or self.lost.total() > 0 or not self.answered)

    @property
    def banner(self) -> str:
        """The warning at the top of a page; empty if there is none."""
        if not self.nothing_measured:
            return self.problem
        return (
            f'Liquid was seen in {self._counted(self.liquid)}, but none could be measured: '
            f'{". ".join([listed(self.not_measured), *self.hints])}'
        )

    def lines(self) -> list[str]:
        """The account as lines of text, the total first."""
        parts = [
            f'{self._counted(self.given)} in the input: {self.answered} {self.done}',
            f'{self.liquid} with liquid',
        ]
        if self.measured is not None:
            parts.append(f'{self.measured} measured')
        if self.partly:
            parts.append(f'{self.partly} partly')
        lines = [', '.join(parts)]
        for label, causes in (('lost', self.lost), ('dropped', self.dropped)):
            if causes.total():
                lines.append(f'{label} {causes.total()}: {listed(causes)}')
        if self.depth_used is not None and self.answered:
            if self.depth_used:
                lines.append(f'depth used in {self.depth_used} of {self._counted(self.answered)}')
            unused = self.depth_unused.total()
            if unused:
                lines.append(
                    f'depth unused in {unused} of {self._counted(self.answered)}: '
                    f'{listed(self.depth_unused)}'
                )
        if self.measured is not None and self.not_measured:
            lines.append(
                f'not measured {self.liquid - self.measured} of {self.liquid} with liquid: '
                f'{listed(self.not_measured)}'
            )
        lines += self.hints
        if self.skipped.total():
            lines.append(f'skipped: {listed(self.skipped)}')
        return [*lines, *self.notes]

    def _counted(self, number: int) -> str:
        return f'{number} {self.what if number != 1 else self.what.removesuffix("s")}'

    def as_dict(self) -> dict[str, Any]:
        """The account as in summary.json."""
        depth = None
        if self.depth_used is not None:
            unused = dict(self.depth_unused.most_common())
            depth = {'used': self.depth_used, 'of': self.answered, 'unused': unused}
        return {
            'command': self.command,
            'status': self.status,
            'of': self.what,
            'input': self.given,
            'answered': self.answered,
            'with_liquid': self.liquid,
            'measured': self.measured,
            'partly': self.partly,
            'lost': dict(self.lost.most_common()),
            'dropped': dict(self.dropped.most_common()),
            'depth': depth,
            'not_measured': dict(self.not_measured.most_common()),
            'skipped': dict(self.skipped.most_common()),
            'hints': self.hints,
            'notes': self.notes,
            **self.facts,
        }

    def write(self, folder: Path) -> None:
        """Write summary.json, whole or not at all, and raise ArithmeticError like `check`."""
        self.check()
        with replacing(folder / SUMMARY) as partial:
            text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False)
            # A cause may quote a file name that is no UTF-8.
            partial.write_text(text + '\n', encoding='utf-8', errors='backslashreplace')


def listed(causes: Mapping[str, int]) -> str:
    """Causes with their counts, the most common first, on one line."""
    common = Counter(causes).most_common()
    shown = [f'{_one_line(cause)} ({count})' for cause, count in common[:SHOWN]]
    rest = common[SHOWN:]
    if rest:
        shown.append(f'{len(rest)} more ({sum(count for _, count in rest)})')
    return ', '.join(shown)


def count_reasons(reasons: Iterable[str]) -> Counter[str]:
    """Count the frames of each reason.

    Reasons that differ only in their numbers are merged; a number that varies becomes its range. A
    frame with several reasons, joined by '; ', counts once for each.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    numbers: dict[tuple[str, ...], list[list[str]]] = {}
    for reason in reasons:
        parts = [part for part in reason.split('; ') if part]
        counts.update({tuple(_NUMBER.split(part)) for part in parts})
        for part in parts:
            numbers.setdefault(tuple(_NUMBER.split(part)), []).append(_NUMBER.findall(part))
    return Counter({_with_ranges(words, numbers[words]): n for words, n in counts.items()})


def _with_ranges(words: tuple[str, ...], numbers: list[list[str]]) -> str:
    ranges = []
    for column in zip(*numbers, strict=True):
        low, high = min(column, key=float), max(column, key=float)
        ranges.append(low if low == high else f'{low} to {high}')
    return ''.join(a + b for a, b in zip(words, [*ranges, ''], strict=True))


def _one_line(text: str) -> str:
    text = ' '.join(text.split())
    return text if len(text) <= CAUSE_LENGTH else text[: CAUSE_LENGTH - 4] + ' ...'
