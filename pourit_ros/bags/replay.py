# SPDX-License-Identifier: Apache-2.0
"""Replay a bag through the pipeline without ROS: every frame, reproducibly."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

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
from .reader import BagReader, ReaderOptions
from .rows import Row, row_from_estimate, write_csv
from .writer import BagWriter

if TYPE_CHECKING:
    from ..report.video import VideoWriter

TYPES = {topic.name: topic.type for topic in (*PERCEPTION, *MONITOR)}
FALLBACK_FPS = 10.0

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
) -> ReplayResult:
    """Run every frame of a bag through the pipeline and write the results into `out_dir`.

    estimates.csv, overlay.mp4, report.html and bag/, a rosbag2 with the nodes' topics under
    /pourit. `latency_ms` of a row is the pipeline's wall time. `progress(done, total)` counts
    colour images. Raises BagError; then, and on Ctrl-C, `out_dir` is as it was.
    """
    options = reader_options or ReaderOptions()
    out_dir = Path(out_dir)
    with BagReader(bag, options.topics) as reader, replay_folder(out_dir) as folder:
        run = _Replay(reader, folder, pipeline, options)
        run.frames(progress)
        run.report()
    return ReplayResult(out_dir, tuple(run.rows), tuple(run.states), dict(reader.skipped))


class _Replay:
    def __init__(
        self, reader: BagReader, folder: Path, pipeline: PourPipeline, options: ReaderOptions
    ) -> None:
        self.reader = reader
        self.folder = folder
        self.pipeline = pipeline
        self.options = options
        self.rows: list[Row] = []
        self.states: list[tuple[int, str]] = []
        self.machine = PourStateMachine()
        self.key_frames = KeyFrames()

    def frames(self, progress: Progress | None) -> None:
        """Run all frames, writing bag and video as they come, the table at the end."""
        total = self.reader.count
        with ExitStack() as stack:
            output = stack.enter_context(BagWriter(self.folder / BAG))
            video: VideoWriter | None = None
            for frame in self.reader.frames(self.options.frames):
                start = time.perf_counter()
                observation, estimate = self.pipeline(frame)
                latency_ms = 1e3 * (time.perf_counter() - start)
                row = row_from_estimate(estimate, latency_ms)
                self.rows.append(row)
                self._record(output, frame, observation, estimate)
                picture = self._picture(frame, observation, estimate)
                if video is None:
                    video = stack.enter_context(self._video(picture))
                video.write(_resized(picture, video.size))
                self.key_frames.offer(row, picture)
                if progress is not None:
                    progress(len(self.rows), total)
        write_csv(self.folder / CSV, self.rows)

    def report(self) -> None:
        """Write the HTML page."""
        from ..report.replay_report import write_report

        pipeline, reader = self.pipeline, self.reader
        summary: dict[str, object] = {
            'mode': 'offline, every frame',
            'colour': reader.camera.color,
            'depth': reader.camera.depth or 'none',
            'source': pipeline.source.name,
            'target': pipeline.target.name,
            'plane': pipeline.plane,
        }
        for topic, count in reader.skipped.items():
            summary[f'unusable on {topic}'] = count
        write_report(
            self.folder / REPORT,
            self.rows,
            self.key_frames.pictures(self.rows[0].stamp_ns),
            summary,
            f'Replay of {reader.path.name}',
            states=self.states,
        )

    def _record(
        self, output: BagWriter, frame: Frame, observation: Observation, estimate: PourEstimate
    ) -> None:
        state = self.machine.update(frame.stamp_ns, estimate.present, estimate.valid)
        changed = not self.states or self.states[-1][1] != state
        if changed:
            self.states.append((frame.stamp_ns, state))
        sent = [
            # The overlay goes into the video.
            *perception_messages(
                observation,
                frame.color,
                self.reader.color_frame_id,
                lambda name: name != 'liquid/overlay',
            ),
            *monitor_messages(
                estimate, self.options.frames.base_frame, state if changed else None
            ),
        ]
        for name, fields in sent:
            output.write(f'/{NAMESPACE}/{name}', TYPES[name], fields, frame.stamp_ns)

    def _picture(
        self, frame: Frame, observation: Observation, estimate: PourEstimate
    ) -> NDArray[np.uint8]:
        from ..report.overlay import draw_overlay

        return draw_overlay(frame.color, observation.segmentation, estimate, frame)

    def _video(self, picture: NDArray[np.uint8]) -> VideoWriter:
        from ..report.video import VideoWriter

        duration = self.reader.duration
        fps = (self.reader.count - 1) / duration if duration > 0 else FALLBACK_FPS
        height, width = picture.shape[:2]
        return VideoWriter(self.folder / VIDEO, float(np.clip(fps, 1, 120)), (width, height))


class KeyFrames:
    """Keeps the few pictures that a report shows."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Row, NDArray[np.uint8]]] = {}

    def offer(self, row: Row, picture: NDArray[np.uint8]) -> None:
        """Look at the next frame's picture."""
        first, last = ['first frame'], ['last frame']
        if row.present:
            first.append('first liquid')
            last.append('last liquid')
        for title in first:
            self._kept.setdefault(title, (row, picture))
        for title in last:
            self._kept[title] = (row, picture)
        if row.margin is not None:
            for title, sign in (('widest miss', 1), ('best aim', -1)):
                best = self._kept.get(title)
                if best is None or sign * row.margin < sign * (best[0].margin or 0.0):
                    self._kept[title] = (row, picture)

    def pictures(self, start_ns: int) -> list[tuple[str, NDArray[np.uint8]]]:
        """(caption, picture) in order of time, each frame once; times count from `start_ns`."""
        titles: dict[int, list[str]] = {}
        chosen: dict[int, NDArray[np.uint8]] = {}
        for title, (row, picture) in self._kept.items():
            titles.setdefault(row.stamp_ns, []).append(title)
            chosen[row.stamp_ns] = picture
        return [
            (f'{", ".join(titles[stamp])}, {(stamp - start_ns) / 1e9:.2f} s', chosen[stamp])
            for stamp in sorted(chosen)
        ]


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture of the video's size, should the camera have changed its own."""
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size), dtype=np.uint8)
