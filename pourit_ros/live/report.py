# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a live replay, then write its table, video and page from the nodes' messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..bags.accounts import CUT, figure_notes, name_hints, one_each, skipped_messages
from ..bags.output import BAG
from ..bags.outputs import ReplayOutputs
from ..bags.reader import BagReader, ReaderOptions
from ..bags.replay import ReplayResult
from ..bags.rows import rows_from_bag, start_of
from ..errors import InputError
from ..files import result_folder
from ..formats.estimates_csv import Row
from ..geometry import Container, LiquidCloud, PourGeometry, measure_pour
from ..geometry.plane import PlaneMode
from ..messages.contract import NAMESPACE
from ..messages.decode import cloud_from_msg, stamp_to_ns
from ..messages.images import image_to_rgb
from ..perception.segmentation import Segmentation
from ..pipeline import Frame, Observation, PourEstimate, lift_frame
from ..report.account import Account
from .recording import Said, copy_at_source_times, read_said, states_of
from .replay import LiveReplay, Progress, replay_live

# Frames without an answer, on the way that images take.
PERCEPTION_MISSED = 'liquid_perception was processing another image'
MONITOR_MISSED = 'pour_monitor was processing another frame'
SAME_STAMP = 'has the stamp of an earlier image'
DEPTH_LATE = 'the depth image came too late for liquid_perception'
NOT_REPEATED = 'not measured in time by the nodes: a pose or the cloud came too late'


def report_live(
    bag: str | Path,
    out_dir: str | Path,
    weights: str = 'default',
    source: str = 'pourit_bottle',
    target: str = 'cup',
    plane: PlaneMode = 'axis',
    rate: float = 1.0,
    device: str = 'auto',
    threads: int | None = None,
    reader_options: ReaderOptions | None = None,
    progress: Progress | None = None,
    threshold: float | None = None,
    include_inputs: bool = False,
    overwrite: bool = False,
    rrd: bool = False,
) -> ReplayResult:
    """Replay a bag through the live nodes and write the same files as an offline replay.

    Arguments as for `replay_live` and `replay`; `truth`: for comparison, as for `compare`. Raises
    InputError; then, and on Ctrl-C, `out_dir` is as it was.
    """
    options = reader_options or ReaderOptions()
    out_dir = Path(out_dir)
    with (
        result_folder(out_dir, 'replay', [bag], overwrite) as folder,
        TemporaryDirectory(prefix='.', dir=folder) as raw,
    ):
        live = replay_live(
            bag, raw, weights, source, target, plane, rate,
            device=device, threads=threads, reader_options=options, progress=progress,
        )  # fmt: skip
        said = read_said(live.bag)
        joined = rows_from_bag(live.bag, Container.load(target).rim_radius, live.latency_ms)
        rows = [row for row in joined if row.stamp_ns in said.answered]
        if not rows:
            raise InputError('the nodes answered no frames; see their logs:\n' + _tail(live))
        with BagReader(bag, options.topics) as reader:
            run = _Report(reader, folder, options, said, Container.load(source),
                          Container.load(target), plane, rrd)  # fmt: skip
            run.draw(rows, live.bag)
            start_ns = start_of(reader, rows)
            states = states_of(said, rows, start_ns)
            copy_at_source_times(
                live.bag, folder / BAG, reader.recorded_ns, states,
                reader if include_inputs else None,
            )  # fmt: skip
            account = run.account(rate)
            title = f'Live replay of {reader.path.name}'
            run.outputs.finish(title, account, states, threshold, start_ns)
    return ReplayResult(out_dir, tuple(run.rows), tuple(states), account)


class _Report:
    """Joins the images of the bag with the messages about them."""

    def __init__(
        self,
        reader: BagReader,
        folder: Path,
        options: ReaderOptions,
        said: Said,
        source: Container,
        target: Container,
        plane: PlaneMode,
        rrd: bool,
    ) -> None:
        self.reader, self.options, self.said = reader, options, said
        self.source, self.target, self.plane = source, target, plane
        self.outputs = ReplayOutputs(folder, reader.rate, rrd)
        self.depth_used = 0
        self.depth_unused: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()

    @property
    def rows(self) -> list[Row]:
        return self.outputs.rows

    def draw(self, rows: list[Row], recorded: Path) -> None:
        """Draw every answered frame, and count the others by cause.

        Images and answers are both in order of their stamps.
        """
        from ..report.overlay import overlay

        answers = {row.stamp_ns: row for row in rows}
        left = dict(answers)
        with BagReader(recorded) as bag, self.outputs as outputs:
            masks, clouds = _InOrder(bag, 'liquid/mask'), _InOrder(bag, 'liquid/points')
            for frame in self.reader.frames(self.options.frames):
                stamp_ns = frame.stamp_ns
                row = left.pop(stamp_ns, None)
                if row is None:
                    self.missed[self._why_missed(stamp_ns, stamp_ns in answers)] += 1
                    continue
                self._count_depth(stamp_ns, frame)
                mask, cloud = masks.at(stamp_ns), clouds.at(stamp_ns)
                shape = frame.color.shape[:2]
                wet = np.zeros(shape, bool) if mask is None else image_to_rgb(mask)[..., 0] > 127
                seen = Segmentation(row.probability, row.present, wet.astype(np.float32), wet)
                fitted = _fitted(cloud, frame, self.target)
                if row.present and not row.valid:
                    row = replace(row, reason=self._reason(frame, seen, fitted))
                estimate = PourEstimate(
                    stamp_ns, row.frame, row.present, row.probability,
                    _geometry(row, fitted or PourGeometry()), row.reason,
                )  # fmt: skip
                picture = overlay(frame.color, seen, estimate, frame)
                outputs.add(row, picture, estimate.geometry)
                lifted = LiquidCloud.empty() if cloud is None else cloud_from_msg(cloud)
                observation = Observation(stamp_ns, row.frame, seen, lifted)
                outputs.record(frame, observation, estimate.geometry)
            for stamp_ns, row in left.items():
                # Answered, although the same image makes no frame offline.
                self._count_depth(stamp_ns, None)
                outputs.add(row)
        outputs.rows.sort(key=lambda row: row.stamp_ns)

    def account(self, rate: float) -> Account:
        """What happened to every image; `rate` as for `replay_live`."""
        reader = self.reader
        account = Account(
            'replay',
            reader.count,
            depth_used=self.depth_used,
            depth_unused=one_each(self.depth_unused),
            skipped=skipped_messages(reader),
            facts={
                'bag': reader.path.name,
                'mode': 'live nodes over Fast DDS, ' + (f'{rate:g} x' if rate else 'lock-step'),
                'colour': reader.camera.color,
                'depth topic': reader.camera.depth or 'none',
                'source': self.source.name,
                'target': self.target.name,
                'plane': self.plane,
            },
        )
        account.add_rows(self.rows)
        # In lock-step every image has time for its answer.
        (account.dropped if rate else account.lost).update(self.missed)
        unread = account.given - account.answered - self.missed.total()
        for cause, count in one_each(reader.lost).items():
            # Some of these the nodes may have answered nevertheless.
            account.lost[cause] += (some := max(min(count, unread), 0))
            unread -= some
        account.lost = +account.lost
        account.settle(CUT)
        account.notes += [*reader.notices, *figure_notes(self.rows)]
        blind = bool(account.not_measured)
        account.hints += name_hints(reader, self.options.frames, blind)
        return account

    def _why_missed(self, stamp_ns: int, twice: bool) -> str:
        if twice:
            return SAME_STAMP
        return MONITOR_MISSED if stamp_ns in self.said.depth else PERCEPTION_MISSED

    def _count_depth(self, stamp_ns: int, frame: Frame | None) -> None:
        if self.said.depth.get(stamp_ns):
            self.depth_used += 1
        elif frame is None or frame.depth is not None:
            self.depth_unused[DEPTH_LATE] += 1
        else:
            self.depth_unused[self.reader.depth_cause(frame)] += 1

    def _reason(self, frame: Frame, seen: Segmentation, fitted: PourGeometry | None) -> str:
        """Why liquid was not measured; the nodes publish no reason, so their work is repeated."""
        if fitted is None:
            reason = lift_frame(frame, seen, self.source, self.plane).problem
        else:
            reason = '; '.join(fitted.problems)
        return reason or NOT_REPEATED


def _fitted(cloud: Any, frame: Frame, target: Container) -> PourGeometry | None:
    """The geometry fitted again to the nodes' cloud, with the curve; None without a cloud."""
    if cloud is None or not cloud.width or frame.T_base_cam is None:
        return None
    return measure_pour(cloud_from_msg(cloud), frame.T_base_cam, target, frame.T_base_target)


def _geometry(row: Row, fitted: PourGeometry) -> PourGeometry:
    """The nodes' numbers, with the curve of the fit for the drawing."""

    def vector(point: tuple[float, float, float] | None) -> np.ndarray | None:
        return None if point is None else np.array(point)

    return replace(
        fitted,
        lowest_point=vector(row.lowest),
        landing_point=vector(row.landing),
        offset=vector(row.offset),
        distance=row.distance,
        margin=row.margin,
        flow=row.flow,
        flow_sigma=row.flow_sigma,
    )


class _InOrder:
    """The messages of a topic, requested by increasing stamps; each is read once."""

    def __init__(self, bag: BagReader, name: str) -> None:
        topic = f'/{NAMESPACE}/{name}'
        found = [topic] if topic in bag.topics else []
        self._contents = (bag.decode(message) for message in bag.messages(found))
        self._next = next(self._contents, None)

    def at(self, stamp_ns: int) -> Any:
        """The message with exactly this stamp, or None."""
        while self._next is not None and stamp_to_ns(self._next.header.stamp) < stamp_ns:
            self._next = next(self._contents, None)
        if self._next is None or stamp_to_ns(self._next.header.stamp) != stamp_ns:
            return None
        return self._next


def _tail(live: LiveReplay) -> str:
    return '\n'.join(f'{node}: {log.strip()[-400:]}' for node, log in live.logs.items())
