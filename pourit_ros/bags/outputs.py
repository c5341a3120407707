# SPDX-License-Identifier: Apache-2.0
"""Table, video and page of a replay, offline or live."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from .output import CSV, REPORT, VIDEO
from .rows import Row, write_csv

if TYPE_CHECKING:
    from ..report.video import VideoWriter

FALLBACK_FPS = 10.0


class ReplayOutputs:
    """Context manager that collects a replay's rows and pictures, the pictures into a video.

    `add` each frame in order, then, after the block, `finish` writes estimates.csv and
    report.html into `folder`. `rate`: frames per second of the video, 0 when not known.
    """

    def __init__(self, folder: Path, rate: float) -> None:
        self.folder = folder
        self.rows: list[Row] = []
        self._fps = float(np.clip(rate, 1, 120)) if rate > 0 else FALLBACK_FPS
        self._pictures = KeyFrames()
        self._video: VideoWriter | None = None
        self._stack = ExitStack()

    def __enter__(self) -> ReplayOutputs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, row: Row, picture: NDArray[np.uint8]) -> None:
        """Take in the next frame: its line and its picture (H, W, 3) RGB."""
        from ..report.video import VideoWriter

        self.rows.append(row)
        if self._video is None:
            height, width = picture.shape[:2]
            writer = VideoWriter(self.folder / VIDEO, self._fps, (width, height))
            self._video = self._stack.enter_context(writer)
        self._video.write(_resized(picture, self._video.size))
        self._pictures.offer(row, picture)

    def finish(
        self,
        title: str,
        summary: dict[str, object],
        states: list[tuple[int, str]],
        threshold: float | None,
    ) -> None:
        """Write the table and the page; `summary`: label to value, `threshold`: of presence."""
        from ..report.replay_report import write_report

        write_csv(self.folder / CSV, self.rows)
        pictures = self._pictures.pictures(self.rows[0].stamp_ns)
        write_report(self.folder / REPORT, self.rows, pictures, summary, title, threshold, states)


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
