# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replay a bag through the pipeline without ROS: every frame, reproducibly."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..control.pour_state import PourStateMachine
from ..control.poured import Poured, PouredVolume
from ..files import result_folder
from ..formats.estimates_csv import Row, row_from_estimate
from ..geometry import NotEstimable
from ..messages.contract import (
    MONITOR,
    NAMESPACE,
    PERCEPTION,
    monitor_messages,
    perception_messages,
)
from ..pipeline import Frame, Observation, PourEstimate, PourPipeline
from ..report.account import Account
from .accounts import CUT, figure_notes, name_hints, one_each, skipped_messages
from .inputs import InputCopy
from .output import BAG, CSV, RECORDING, REPORT, VIDEO
from .outputs import ReplayOutputs
from .reader import BagReader, ReaderOptions
from .rows import start_of
from .writer import BagWriter

TYPES = {topic.name: topic.type for topic in (*PERCEPTION, *MONITOR)}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReplayResult:
    """Result of a replay: `rows` in the order of the bag, `states` as (stamp_ns, state).

    `account`: what happened to every image. The files are in `folder`.
    """

    folder: Path
    rows: tuple[Row, ...]
    states: tuple[tuple[int, str], ...]
    account: Account

    @property
    def csv(self) -> Path:
        """estimates.csv."""
        return self.folder / CSV

    @property
    def video(self) -> Path:
        """The camera's images with overlay."""
        return self.folder / VIDEO

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.folder / REPORT

    @property
    def recording(self) -> Path:
        """The rerun recording, where one was asked for."""
        return self.folder / RECORDING

    @property
    def bag(self) -> Path:
        """The rosbag2 with the messages that the nodes would have published."""
        return self.folder / BAG


def replay(
    bag: str | Path,
    out_dir: str | Path,
    pipeline: PourPipeline,
    reader_options: ReaderOptions | None = None,
    progress: Progress | None = None,
    threshold: float | None = None,
    include_inputs: bool = False,
    overwrite: bool = False,
    rrd: bool = False,
) -> ReplayResult:
    """Run every frame of a bag through the pipeline and write the results into `out_dir`.

    estimates.csv, summary.json, overlay.mp4, report.html and bag/, a rosbag2 with the nodes'
    topics under /pourit, recorded when the images were, and with `include_inputs` the images,
    camera info and poses that frames were made of. `latency_ms` of a row is the pipeline's wall
    time. `progress(done, total)` counts colour images; `threshold` of presence is drawn into the
    page; `rrd` adds replay.rrd, a rerun recording. `out_dir` must be new or empty; with
    `overwrite` it may hold an earlier replay, which is replaced. Raises InputError; then, and on
    Ctrl-C, `out_dir` is as it was.
    """
    options = reader_options or ReaderOptions()
    out_dir = Path(out_dir)
    with (
        result_folder(out_dir, 'replay', [bag], overwrite) as folder,
        BagReader(bag, options.topics) as reader,
    ):
        run = _Replay(reader, folder, pipeline, options, rrd)
        run.frames(progress, include_inputs)
        account = run.report(threshold)
    return ReplayResult(out_dir, tuple(run.rows), tuple(run.states), account)


class _Replay:
    def __init__(
        self,
        reader: BagReader,
        folder: Path,
        pipeline: PourPipeline,
        options: ReaderOptions,
        rrd: bool,
    ) -> None:
        self.reader = reader
        self.folder = folder
        self.pipeline = pipeline
        self.options = options
        self.states: list[tuple[int, str]] = []
        self.machine = PourStateMachine()
        self.volume = PouredVolume()
        self.outputs = ReplayOutputs(folder, reader.rate, rrd)

    @property
    def rows(self) -> list[Row]:
        return self.outputs.rows

    def frames(self, progress: Progress | None, include_inputs: bool) -> None:
        """Run all frames and write bag and video on the way."""
        from ..report.overlay import overlay

        total = self.reader.count
        source, target = self.pipeline.observer.source, self.pipeline.estimator.target
        options = replace(
            self.options.frames, mouths={'source': source.mouth, 'target': target.mouth}
        )
        with BagWriter(self.folder / BAG) as bag, self.outputs as outputs:
            tap = InputCopy(self.reader, bag) if include_inputs else None
            for frame in self.reader.frames(options, tap):
                start = time.perf_counter()
                observation, estimate = self.pipeline(frame)
                latency_ms = 1e3 * (time.perf_counter() - start)
                geometry = estimate.geometry
                poured = self.volume.update(
                    frame.stamp_ns, estimate.present, geometry.flow, geometry.flow_sigma
                )
                observation = self._with_source(frame, observation)
                self._record(bag, frame, observation, estimate, poured)
                picture = overlay(frame.color, observation.segmentation, estimate, frame)
                outputs.add(row_from_estimate(estimate, latency_ms, poured), picture, geometry)
                outputs.record(frame, observation, geometry)
                if progress is not None:
                    progress(len(self.rows), total)

    def _with_source(self, frame: Frame, observation: Observation) -> Observation:
        try:
            return replace(observation, source=self.pipeline.observer.find_source(frame))
        except NotEstimable:
            return observation

    def report(self, threshold: float | None) -> Account:
        """Write the table, the account and the page."""
        observer, reader = self.pipeline.observer, self.reader
        account = Account(
            'replay',
            reader.count,
            lost=one_each(reader.lost),
            depth_used=reader.depth_used,
            depth_unused=one_each(reader.depth_unused),
            skipped=skipped_messages(reader),
            facts={
                'bag': reader.path.name,
                'mode': 'offline, every frame',
                'colour': reader.camera.color,
                'depth topic': reader.camera.depth or 'none',
                'source': observer.source.name,
                'target': self.pipeline.estimator.target.name,
                'plane': observer.plane,
            },
        )
        account.add_rows(self.rows)
        account.settle(CUT)
        account.notes += [*reader.notices, *figure_notes(self.rows)]
        blind = bool(account.not_measured)
        account.hints += name_hints(reader, self.options.frames, blind)
        title = f'Replay of {reader.path.name}'
        self.outputs.finish(title, account, self.states, threshold, start_of(reader, self.rows))
        return account

    def _record(
        self,
        output: BagWriter,
        frame: Frame,
        observation: Observation,
        estimate: PourEstimate,
        poured: Poured,
    ) -> None:
        state = self.machine.update(
            frame.stamp_ns, estimate.present, estimate.valid, estimate.probability
        )
        changed = not self.states or self.states[-1][1] != state
        if changed:
            self.states.append((frame.stamp_ns, state))

        def wanted(name: str) -> bool:
            # The overlay goes into the video.
            return name != 'liquid/overlay'

        # Over its source, in any viewer, each result lies where its image does.
        recorded_ns = self.reader.recorded_ns[frame.stamp_ns]
        frame_id, base_frame = self.reader.color_frame_id, self.options.frames.base_frame
        sent = [
            *perception_messages(observation, frame.color, frame_id, wanted, base_frame),
            *monitor_messages(estimate, base_frame, state if changed else None, wanted, poured),
        ]
        for name, fields in sent:
            output.write(f'/{NAMESPACE}/{name}', TYPES[name], fields, recorded_ns)
