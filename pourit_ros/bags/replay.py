# SPDX-License-Identifier: Apache-2.0
"""Replay a bag through the pipeline without ROS: every frame, reproducibly."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..control.pour_state import PourStateMachine
from ..messages.contract import (
    MONITOR,
    NAMESPACE,
    PERCEPTION,
    monitor_messages,
    perception_messages,
)
from ..pipeline import Frame, Observation, PourEstimate, PourPipeline
from .output import BAG, CSV, REPORT, VIDEO, replay_folder
from .outputs import ReplayOutputs
from .reader import BagReader, ReaderOptions
from .rows import Row, row_from_estimate
from .writer import BagWriter

TYPES = {topic.name: topic.type for topic in (*PERCEPTION, *MONITOR)}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReplayResult:
    """What a replay found: `rows` in the order of the bag, `states` as (stamp_ns, state).

    `skipped`: messages that could not be used, by topic. The files are in `folder`.
    """

    folder: Path
    rows: tuple[Row, ...]
    states: tuple[tuple[int, str], ...]
    skipped: dict[str, int]

    @property
    def csv(self) -> Path:
        """estimates.csv."""
        return self.folder / CSV

    @property
    def video(self) -> Path:
        """The camera's images with what was seen in them."""
        return self.folder / VIDEO

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.folder / REPORT

    @property
    def bag(self) -> Path:
        """The rosbag2 of what the nodes would have published."""
        return self.folder / BAG


def replay(
    bag: str | Path,
    out_dir: str | Path,
    pipeline: PourPipeline,
    reader_options: ReaderOptions | None = None,
    progress: Progress | None = None,
    threshold: float | None = None,
) -> ReplayResult:
    """Run every frame of a bag through the pipeline and write the results into `out_dir`.

    estimates.csv, overlay.mp4, report.html and bag/, a rosbag2 with the nodes' topics under
    /pourit. `latency_ms` of a row is the pipeline's wall time. `progress(done, total)` counts
    colour images; `threshold` of presence is drawn into the page. Raises BagError; then, and on
    Ctrl-C, `out_dir` is as it was.
    """
    options = reader_options or ReaderOptions()
    out_dir = Path(out_dir)
    with BagReader(bag, options.topics) as reader, replay_folder(out_dir) as folder:
        run = _Replay(reader, folder, pipeline, options)
        run.frames(progress)
        run.report(threshold)
    return ReplayResult(out_dir, tuple(run.rows), tuple(run.states), dict(reader.skipped))


class _Replay:
    def __init__(
        self, reader: BagReader, folder: Path, pipeline: PourPipeline, options: ReaderOptions
    ) -> None:
        self.reader = reader
        self.folder = folder
        self.pipeline = pipeline
        self.options = options
        self.states: list[tuple[int, str]] = []
        self.machine = PourStateMachine()
        self.outputs = ReplayOutputs(folder, reader.rate)

    @property
    def rows(self) -> list[Row]:
        return self.outputs.rows

    def frames(self, progress: Progress | None) -> None:
        """Run all frames, writing bag and video as they come."""
        from ..report.overlay import draw_overlay

        total = self.reader.count
        source, target = self.pipeline.observer.source, self.pipeline.estimator.target
        options = replace(
            self.options.frames, mouths={'source': source.mouth, 'target': target.mouth}
        )
        with BagWriter(self.folder / BAG) as bag, self.outputs as outputs:
            for frame in self.reader.frames(options):
                start = time.perf_counter()
                observation, estimate = self.pipeline(frame)
                latency_ms = 1e3 * (time.perf_counter() - start)
                self._record(bag, frame, observation, estimate)
                picture = draw_overlay(frame.color, observation.segmentation, estimate, frame)
                outputs.add(row_from_estimate(estimate, latency_ms), picture)
                if progress is not None:
                    progress(len(self.rows), total)

    def report(self, threshold: float | None) -> None:
        """Write the table and the page."""
        observer, reader = self.pipeline.observer, self.reader
        summary: dict[str, object] = {
            'mode': 'offline, every frame',
            'colour': reader.camera.color,
            'depth': reader.camera.depth or 'none',
            'source': observer.source.name,
            'target': self.pipeline.estimator.target.name,
            'plane': observer.plane,
        }
        for topic, count in reader.skipped.items():
            summary[f'unusable on {topic}'] = count
        title = f'Replay of {reader.path.name}'
        self.outputs.finish(title, summary, self.states, threshold)

    def _record(
        self, output: BagWriter, frame: Frame, observation: Observation, estimate: PourEstimate
    ) -> None:
        state = self.machine.update(frame.stamp_ns, estimate.present, estimate.valid)
        changed = not self.states or self.states[-1][1] != state
        if changed:
            self.states.append((frame.stamp_ns, state))

        def wanted(name: str) -> bool:
            # The overlay goes into the video.
            return name != 'liquid/overlay'

        frame_id, base_frame = self.reader.color_frame_id, self.options.frames.base_frame
        sent = [
            *perception_messages(observation, frame.color, frame_id, wanted),
            *monitor_messages(estimate, base_frame, state if changed else None, wanted),
        ]
        for name, fields in sent:
            output.write(f'/{NAMESPACE}/{name}', TYPES[name], fields, frame.stamp_ns)
