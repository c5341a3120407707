# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Extract colour frames with yes/no labels of liquid from bags."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import result_folder
from ..formats.images import write_image
from ..formats.labels_csv import LabelledFrame, write_labels
from ..messages.decode import stamp_to_ns
from ..messages.errors import MessageError
from ..messages.images import image_to_rgb
from ..report.account import Account
from .accounts import CUT, one_each
from .errors import BagError
from .marks import Change
from .reader import BagReader
from .twin_choice import likest, thumbnail

# What --propose leaves in a folder, beside which labels may be written.
PROPOSAL = 'proposal.jpg'
IMAGES = 'images'
THINNED, UNSURE = 'between those kept', 'near a change'
JPEG_QUALITY = 95
# Neighbours differ little: frames a second that are kept unless told otherwise, and what a
# camera of nominally a multiple of it may be faster.
RATE, RATE_SLACK = 10.0, 0.5

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CollectOptions:
    """Which frames are kept; times in seconds.

    `every`: each n-th colour frame, None: at most 10 per second. `unsure`: frames closer to a
    change than this are left out.
    """

    every: int | None = None
    unsure: float = 0.2


@dataclass(frozen=True)
class CollectResult:
    """What was written: `account` of the colour frames, `pairs` of a wet and a dry one."""

    account: Account
    pairs: int


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
    protect: Sequence[str | Path] = (),
    overwrite: bool = False,
) -> CollectResult:
    """Write the images of bags and their `labels.csv` into `out`, whole or not at all.

    `changes` by name of the bag (`bag_names`). Images are `images/<bag>_<index>.jpg`, with the
    index counted over the bag's colour frames. The twin of a wet image is the most similar dry one
    of all bags. `progress(done, total)` counts colour frames. Raises InputError for a change
    outside its bag, and InputError. `out` must be new or empty; with `overwrite` it may hold what
    an earlier collect made, which is replaced.
    """
    options = options or CollectOptions()
    names = bag_names(bags)
    frames: list[LabelledFrame] = []
    thumbnails: dict[Path, NDArray[np.uint8]] = {}
    account = Account('collect', 0, done='kept')
    with result_folder(out, 'collect', [*bags, *protect], overwrite) as folder:
        (folder / IMAGES).mkdir()
        for name, path in zip(names, bags, strict=True):
            with open_bag(path, color_topic) as reader:
                times_ns = [stamp_ns for stamp_ns, _ in color_images(reader, account.lost)]
                account.given += reader.count
                account.notes += [n for n in reader.notices if n not in account.notes]
                every = options.every or default_every(times_ns)
                _check_inside(changes[name], times_ns, name)
                labels = label_frames(times_ns, changes[name], every, options)
                thinned = len(range(0, len(times_ns), every))
                account.dropped[THINNED] += len(times_ns) - thinned
                account.dropped[UNSURE] += thinned - len(labels)
                frames += [LabelledFrame(_file(name, k.index), k.liquid) for k in labels]
                thumbnails |= _write_images(folder, name, reader, labels, progress, len(times_ns))
        frames = _paired(frames, thumbnails)
        write_labels(folder, frames)
        pairs = sum(frame.twin is not None for frame in frames)
        account.answered = len(frames)
        account.liquid = sum(frame.liquid for frame in frames)
        account.notes.append(f'{pairs} pairs of a wet and a dry frame')
        finish_account(account)
        account.write(folder)
    return CollectResult(account, pairs)


def finish_account(account: Account) -> None:
    """Drop causes without frames, and balance the account of a recording that was cut off."""
    account.dropped, account.lost = +account.dropped, one_each(account.lost)
    account.settle(CUT)


def label_frames(
    times_ns: Sequence[int], changes: Sequence[Change], every: int, options: CollectOptions
) -> list[Label]:
    """Label each `every`-th frame that is not closer to a change than `unsure`.

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
    """Return the n with which every n-th frame gives at most about 10 per second."""
    duration = (times_ns[-1] - times_ns[0]) / 1e9
    if duration <= 0:
        return 1
    return max(1, math.ceil(((len(times_ns) - 1) / duration - RATE_SLACK) / RATE))


def color_images(
    reader: BagReader, lost: Counter[str] | None = None
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Iterate over (ns after the first, (H, W, 3) uint8 RGB) of the colour topic by time.

    Messages that cannot be read as an image, or are not later than the one before, are skipped and
    counted in `lost` by cause. Raises BagError when none can be read.
    """
    topic = reader.camera.color
    first_ns: int | None = None
    last_ns = 0
    problem = 'it has no message'
    lost = Counter() if lost is None else lost
    for message in reader.messages([topic]):
        image = reader.decode(message)
        stamp_ns = stamp_to_ns(image.header.stamp)
        if first_ns is not None and stamp_ns <= last_ns:
            lost['not later than the image before'] += 1
            continue
        try:
            rgb = image_to_rgb(image)
        except MessageError as error:
            problem = str(error)
            lost[problem] += 1
            continue
        first_ns = stamp_ns if first_ns is None else first_ns
        last_ns = stamp_ns
        yield stamp_ns - first_ns, rgb
    if first_ns is None:
        raise BagError(f'{reader.path}: {topic} holds no image: {problem}')


def open_bag(path: Path, color_topic: str | None) -> BagReader:
    """Open a bag; the colour topic is found by name unless given. Raises BagError."""
    return BagReader(path, {} if color_topic is None else {'color': color_topic})


def bag_names(bags: Sequence[Path]) -> list[str]:
    """Return the bags' names, of folders or files. Raises InputError when two are the same."""
    names = [p.stem if p.is_file() else p.resolve().name for p in bags]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f'two bags are called {name}: their images would mix, rename one')
    return names


def _check_inside(changes: Sequence[Change], times_ns: Sequence[int], name: str) -> None:
    for change in changes:
        if _ns(change.time) > times_ns[-1]:
            raise InputError(
                f'{name}: {change.time:g} s is outside the bag, whose last colour frame is at '
                f'{times_ns[-1] / 1e9:.3f} s; for liquid up to the end, leave out the stop'
            )


def _write_images(
    folder: Path,
    name: str,
    reader: BagReader,
    labels: Sequence[Label],
    progress: Progress | None,
    total: int,
) -> dict[Path, NDArray[np.uint8]]:
    """Write the labelled images; return their thumbnails by file."""
    wanted = {label.index for label in labels}
    thumbnails = {}
    for index, (_, rgb) in enumerate(color_images(reader)):
        if index in wanted:
            file = _file(name, index)
            write_image(folder / file, rgb, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
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
