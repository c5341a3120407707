# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit replay` of several bags, here or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import InputError
from ..files import check_folder
from .cluster import kept_segmenter, on_cluster, weights_for_workers
from .progress import track
from .terminal import say, show, terminal

if TYPE_CHECKING:
    from ..bags.reader import ReaderOptions
    from ..geometry import Container
    from ..geometry.plane import PlaneMode
    from ..perception.devices import Device
    from ..report.account import Account


@dataclass(frozen=True)
class Offline:
    """How bags are replayed, the same for all of them."""

    weights: str
    plane: PlaneMode
    source: Container
    target: Container
    device: Device
    threads: int | None
    options: ReaderOptions
    include_inputs: bool
    overwrite: bool
    rrd: bool


@dataclass(frozen=True)
class Replayed:
    """One of the bags: its account, or the problem that kept it from being replayed."""

    out: Path
    account: Account | None = None
    problem: str = ''

    @property
    def status(self) -> int:
        """Exit status."""
        return 2 if self.account is None else self.account.status

    def line(self) -> str:
        """What came of it."""
        told = self.problem if self.account is None else self.account.lines()[0]
        return f'{self.out.name}: {told}'


def replay_many(bags: Sequence[Path], out: Path, how: Offline, address: str | None) -> None:
    """Replay each bag into a folder of `out` with its name, and say what came of each.

    A bag that cannot be replayed does not end the others. Raises InputError before the first one
    where a result has no place, and typer.Exit unless the status is 0.
    """
    bags = [bag.resolve() for bag in bags]
    places = places_of(bags, out)
    for place in places:
        check_folder(place, [*bags, how.weights], how.overwrite)
    out.mkdir(parents=True, exist_ok=True)
    told = list(track(_replayed(bags, places, how, address), 'bags', len(bags)))
    told.sort(key=lambda one: places.index(one.out))
    for one in told:
        say(one.line())
    say(f'  {out}')
    if terminal.json:
        rows = [
            {
                'bag': str(bag),
                'folder': str(one.out),
                'problem': one.problem,
                'summary': None if one.account is None else one.account.as_dict(),
            }
            for bag, one in zip(bags, told, strict=True)
        ]
        show({'command': 'replay', 'bags': rows}, '')
    status = max(one.status for one in told)
    if status:
        failed = sum(one.status > 0 for one in told)
        typer.echo(f'pourit: {failed} of {len(told)} bags: see above', err=True)
        raise typer.Exit(status)


def places_of(bags: Sequence[Path], out: Path) -> list[Path]:
    """The folder of each bag's results; raises InputError if two bags have one name."""
    names = [bag.stem if bag.is_file() else bag.name for bag in bags]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f'{name}: {names.count(name)} bags have this name: rename one')
    return [out.resolve() / name for name in names]


def _replayed(
    bags: Sequence[Path], places: Sequence[Path], how: Offline, address: str | None
) -> Iterator[Replayed]:
    pairs = list(zip(bags, places, strict=True))
    with on_cluster(address) as workers:
        if workers is None:
            yield from (replay_one(how, pair) for pair in pairs)
            return
        weights, files = weights_for_workers(how.weights)
        workers.check_readable([*bags, places[0].parent, *files])
        # As many networks as the worker has threads share its processor.
        there = replace(how, weights=weights, threads=how.threads or 1)
        yield from (one for _, one in workers.results(partial(replay_one, there), pairs))


def replay_one(how: Offline, pair: tuple[Path, Path]) -> Replayed:
    """Replay a bag into a folder."""
    from ..bags.replay import replay as replay_offline
    from ..pipeline import PourPipeline

    bag, out = pair
    segmenter = kept_segmenter(how.weights, how.device, how.threads)
    pipeline = PourPipeline(segmenter, how.source, how.target, how.plane)
    try:
        result = replay_offline(
            bag, out, pipeline, how.options, None, segmenter.metadata.presence_threshold,
            how.include_inputs, how.overwrite, how.rrd,
        )  # fmt: skip
    except InputError as error:
        return Replayed(out, problem=str(error))
    return Replayed(out, result.account)
