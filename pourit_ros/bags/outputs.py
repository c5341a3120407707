# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Table, video, account and page of a replay, offline or live."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ..formats.estimates_csv import Row, write_csv
from ..geometry import PourGeometry
from ..report.account import Account
from .output import CSV, RECORDING, REPORT, VIDEO

if TYPE_CHECKING:
    from ..pipeline import Frame, Observation
    from ..report.pour3d import Shot
    from ..report.rerun_recording import RerunRecording
    from ..report.video import VideoWriter

FALLBACK_FPS = 10.0


class ReplayOutputs(ExitStack):
    """Context manager that collects a replay's rows and writes its images as a video.

    `add` each frame in order, then, after the block, `finish` writes estimates.csv, summary.json
    and report.html into `folder`. `rate`: frames per second of the video, 0 when not known. With
    `rrd` what is given to `record` goes into a rerun recording.
    """

    def __init__(self, folder: Path, rate: float, rrd: bool = False) -> None:
        super().__init__()
        self.folder = folder
        self.rows: list[Row] = []
        self._fps = float(np.clip(rate, 1, 120)) if rate > 0 else FALLBACK_FPS
        self._pictures = KeyFrames()
        self._pictured = 0
        self._shots: dict[int, Shot] = {}
        self._video: VideoWriter | None = None
        self._rrd = rrd
        self._recording: RerunRecording | None = None

    def __enter__(self) -> ReplayOutputs:
        if self._rrd:
            from ..report.rerun_recording import RerunRecording

            recording = RerunRecording(self.folder / RECORDING)
            self._recording = self.enter_context(recording)
        return self

    def add(
        self,
        row: Row,
        picture: NDArray[np.uint8] | None = None,
        geometry: PourGeometry | None = None,
    ) -> None:
        """Take in the next frame: its line, its picture (H, W, 3) RGB, its measurement."""
        from ..report.pour3d import Shot
        from ..report.video import VideoWriter

        self.rows.append(row)
        number = None if picture is None else self._pictured
        self._shots[row.stamp_ns] = Shot.of(number, geometry or PourGeometry())
        if picture is None:
            return
        self._pictured += 1
        if self._video is None:
            height, width = picture.shape[:2]
            writer = VideoWriter(self.folder / VIDEO, self._fps, (width, height))
            self._video = self.enter_context(writer)
        self._video.write(_resized(picture, self._video.size))
        self._pictures.offer(row, picture)

    def record(self, frame: Frame, observation: Observation, geometry: PourGeometry) -> None:
        """Log the frame that was added last into the recording, where there is one."""
        if self._recording is not None:
            self._recording.add(frame, observation, geometry, self.rows[-1])

    def finish(
        self,
        title: str,
        account: Account,
        states: list[tuple[int, str]],
        threshold: float | None,
        start_ns: int,
    ) -> None:
        """Write table, account and page.

        `threshold`: of presence; `start_ns`: the stamp at time 0 of the page.
        """
        from ..report.replay_report import write_report

        write_csv(self.folder / CSV, self.rows)
        account.write(self.folder)
        write_report(
            self.folder / REPORT,
            self.rows,
            self._pictures.pictures(start_ns),
            account,
            title,
            threshold,
            states,
            start_ns,
            self._shots,
            self.folder / VIDEO if self._pictured else None,
            self._fps,
        )


class KeyFrames:
    """Select the few images that a report shows."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Row, NDArray[np.uint8]]] = {}

    def offer(self, row: Row, picture: NDArray[np.uint8]) -> None:
        """Consider the next frame's image."""
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
        """(caption, image) in order of time, each frame once; times count from `start_ns`."""
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
    """The image at the video's size, in case the camera changed its own."""
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size), dtype=np.uint8)
