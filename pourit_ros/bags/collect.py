# SPDX-License-Identifier: Apache-2.0
"""Colour frames with yes/no labels of liquid out of bags."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import result_folder
from ..labels_csv import LabelledFrame, write_labels
from ..messages.decode import stamp_to_ns
from ..messages.errors import MessageError
from ..messages.images import image_to_rgb
from .errors import BagError
from .marks import MARKS, Change, MarksError
from .reader import BagReader
from .twin_choice import likest, thumbnail

# What --propose leaves in a folder, beside which labels may be written.
PROPOSAL = 'proposal.jpg'
IMAGES = 'images'
JPEG_QUALITY = 95
# Neighbours differ little: frames a second that are kept unless told otherwise, and what a
# camera of nominally a multiple of it may be faster.
RATE, RATE_SLACK = 10.0, 0.5

Progress = Callable[[int, int], None]


class CollectError(InputError):
    """Frames that cannot be collected; one line that says why."""


@dataclass(frozen=True)
class CollectOptions:
    """Which frames are kept; times in seconds.

    `every`: each n-th colour frame, None: so many that at most 10 a second are kept. `unsure`:
    frames nearer to a change than this are left out.
    """

    every: int | None = None
    unsure: float = 0.2


@dataclass(frozen=True)
class CollectResult:
    """What was written: counts of pictures; `left_out`: kept by `every` but too near a change.

    `unusable`: colour messages that are no picture, or not later than the one before.
    """

    wet: int
    dry: int
    pairs: int
    left_out: int
    unusable: int


@dataclass(frozen=True)
class Label:
    """One frame to write, by its `index` in the bag."""

    index: int
    liquid: bool


def collect(
    bags: Sequence[Path],
    out: Path,
    changes: Mapping[str, Sequence[Change]],
    options: CollectOptions | None = None,
    color_topic: str | None = None,
    progress: Progress | None = None,
) -> CollectResult:
    """Write the pictures of bags and their `labels.csv` into `out`, whole or not at all.

    `changes` by name of the bag (`bag_names`). Pictures are `images/<bag>_<index>.jpg`, the index
    counted over the bag's colour frames. The twin of a wet picture is the dry one, of any of the
    bags, that is most like it. `progress(done, total)` counts colour frames. Raises
    CollectError when `out` holds anything but a proposal, MarksError for a change outside of
    its bag, BagError.
    """
    options = options or CollectOptions()
    names = bag_names(bags)
    require_room(out, {MARKS, PROPOSAL})
    frames: list[LabelledFrame] = []
    thumbnails: dict[Path, NDArray[np.uint8]] = {}
    left_out = unusable = 0
    with result_folder(out) as folder:
        (folder / IMAGES).mkdir()
        for name, path in zip(names, bags, strict=True):
            with open_bag(path, color_topic) as reader:
                times_ns = [stamp_ns for stamp_ns, _ in color_images(reader)]
                unusable += reader.count - len(times_ns)
                every = options.every or default_every(times_ns)
                _check_inside(changes[name], times_ns, name)
                labels = label_frames(times_ns, changes[name], every, options)
                left_out += len(range(0, len(times_ns), every)) - len(labels)
                frames += [LabelledFrame(_file(name, k.index), k.liquid) for k in labels]
                thumbnails |= _write_images(folder, name, reader, labels, progress, len(times_ns))
        frames = _paired(frames, thumbnails)
        write_labels(folder, frames)
    wet = sum(frame.liquid for frame in frames)
    pairs = sum(frame.twin is not None for frame in frames)
    return CollectResult(wet, len(frames) - wet, pairs, left_out, unusable)


def label_frames(
    times_ns: Sequence[int], changes: Sequence[Change], every: int, options: CollectOptions
) -> list[Label]:
    """Label each `every`-th frame that is not nearer to a change than `unsure`.

    `times_ns`: increasing, from the first frame.
    """
    times = np.asarray(times_ns, dtype=np.int64)
    starts = np.array([_ns(change.time) for change in changes], dtype=np.int64)
    # Which change each frame is behind; 0: none, and dry.
    stretch = np.searchsorted(starts, times, side='right')
    wet = np.array([False, *(change.liquid for change in changes)])[stretch]
    # At time 0 nothing changes, the bag begins so.
    real = starts[starts > 0]
    distance = np.abs(times[:, None] - real).min(axis=1, initial=np.iinfo(np.int64).max)
    kept = (np.arange(len(times)) % every == 0) & (distance >= _ns(options.unsure))
    return [Label(index, bool(wet[index])) for index in np.flatnonzero(kept).tolist()]


def default_every(times_ns: Sequence[int]) -> int:
    """Return which n-th frames to keep for at most about 10 a second."""
    duration = (times_ns[-1] - times_ns[0]) / 1e9
    if duration <= 0:
        return 1
    return max(1, math.ceil(((len(times_ns) - 1) / duration - RATE_SLACK) / RATE))


def color_images(reader: BagReader) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Iterate over (ns after the first, (H, W, 3) uint8 RGB) of the colour topic by time.

    Messages that are no picture, or not later than the one before, are passed over. Raises
    BagError when none is a picture.
    """
    topic = reader.camera.color
    first_ns: int | None = None
    last_ns = 0
    problem = 'it has no message'
    for message in reader.messages([topic]):
        image = reader.decode(message)
        stamp_ns = stamp_to_ns(image.header.stamp)
        if first_ns is not None and stamp_ns <= last_ns:
            continue
        try:
            rgb = image_to_rgb(image)
        except MessageError as error:
            problem = str(error)
            continue
        first_ns = stamp_ns if first_ns is None else first_ns
        last_ns = stamp_ns
        yield stamp_ns - first_ns, rgb
    if first_ns is None:
        raise BagError(f'{reader.path}: {topic} holds no picture: {problem}')


def open_bag(path: Path, color_topic: str | None) -> BagReader:
    """Open a bag; the colour topic is found by name unless given. Raises BagError."""
    return BagReader(path, {} if color_topic is None else {'color': color_topic})


def bag_names(bags: Sequence[Path]) -> list[str]:
    """Return the bags' names, of folders or files. Raises CollectError when two are the same."""
    names = [p.stem if p.is_file() else p.resolve().name for p in bags]
    for name in names:
        if names.count(name) > 1:
            raise CollectError(f'two bags are called {name}: their pictures would mix, rename one')
    return names


def require_room(out: Path, allowed: Collection[str] = ()) -> None:
    """Raise CollectError when a folder holds anything else than the allowed names."""
    if out.is_dir():
        others = sorted({item.name for item in out.iterdir()} - set(allowed))
        if others:
            raise CollectError(f'{out}: holds other files ({others[0]}), choose an empty folder')


def _check_inside(changes: Sequence[Change], times_ns: Sequence[int], name: str) -> None:
    for change in changes:
        if _ns(change.time) > times_ns[-1]:
            raise MarksError(
                f'{name}: {change.time:g} s is outside of the bag, whose last colour frame is at '
                f'{times_ns[-1] / 1e9:.3f} s; liquid to the end needs no stop'
            )


def _write_images(
    folder: Path,
    name: str,
    reader: BagReader,
    labels: Sequence[Label],
    progress: Progress | None,
    total: int,
) -> dict[Path, NDArray[np.uint8]]:
    """Write the labelled pictures; return their thumbnails by file."""
    wanted = {label.index for label in labels}
    thumbnails = {}
    for index, (_, rgb) in enumerate(color_images(reader)):
        if index in wanted:
            file = _file(name, index)
            bgr = np.ascontiguousarray(rgb[..., ::-1])
            if not cv2.imwrite(str(folder / file), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
                raise CollectError(f'{file.name}: cannot be written, is the disk full?')
            thumbnails[file] = thumbnail(rgb)
        if progress is not None:
            progress(index + 1, total)
    return thumbnails


def _paired(
    frames: Sequence[LabelledFrame], thumbnails: Mapping[Path, NDArray[np.uint8]]
) -> list[LabelledFrame]:
    dry = [frame.file for frame in frames if not frame.liquid]
    shown = [thumbnails[file] for file in dry]
    paired = []
    for frame in frames:
        number = likest(thumbnails[frame.file], shown) if frame.liquid else None
        paired.append(frame if number is None else replace(frame, twin=dry[number]))
    return paired


def _file(name: str, index: int) -> Path:
    return Path(IMAGES) / f'{name}_{index:06d}.jpg'


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
