# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Propose where flow starts and stops, for a person to check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..files import result_folder
from ..formats.images import write_image
from ..pipeline import SegmenterLike
from ..report.account import Account
from .collect import (
    PROPOSAL,
    THINNED,
    Progress,
    bag_names,
    color_images,
    default_every,
    finish_account,
    open_bag,
)
from .marks import MARKS, Change, write_marks

# Flow is where the probability exceeds the threshold; it reaches as far as it exceeds this share
# of it, for a stream that begins thin is seen late.
LOW = 0.25
# Frames of the running median: one stray frame is no pour.
MEDIAN = 3
# The contact sheet: cells of a row, their width (px), and the time they span around a change (s).
CELLS, WIDTH, SPAN = 8, 240, 1.6
# Changes that are drawn at most, JPEG ends at 65500 px.
DRAWN = 100


def propose(
    bags: Sequence[Path],
    out: Path,
    segmenter: SegmenterLike,
    threshold: float,
    every: int | None = None,
    color_topic: str | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> tuple[dict[str, tuple[Change, ...]], Account]:
    """Write `marks.csv` and its contact sheet `proposal.jpg` into `out`.

    Returns the changes by bag, and the account of the frames examined.

    `threshold` of presence; `every` as in `CollectOptions`. Nothing is labelled.
    `progress(done, total)` counts colour frames. `out` must be new or empty; with `overwrite` it
    may hold what an earlier run made, unchanged. Raises InputError.
    """
    names = bag_names(bags)
    account = Account('collect', 0, done='looked at', facts={'proposal': True})
    found: dict[str, tuple[Change, ...]] = {}
    rows: list[NDArray[np.uint8]] = []
    with result_folder(out, 'collect', bags, overwrite) as folder:
        for name, path in zip(names, bags, strict=True):
            with open_bag(path, color_topic) as reader:
                times_ns = [stamp_ns for stamp_ns, _ in color_images(reader, account.lost)]
                account.given += reader.count
                account.notes += [n for n in reader.notices if n not in account.notes]
                kept = range(0, len(times_ns), every or default_every(times_ns))
                probabilities = []
                for index, (_, rgb) in enumerate(color_images(reader)):
                    if index in kept:
                        probabilities.append(segmenter.segment(rgb).probability)
                    if progress is not None:
                        progress(index + 1, len(times_ns))
                account.answered += len(kept)
                account.dropped[THINNED] += len(times_ns) - len(kept)
                account.liquid += sum(p > threshold for p in probabilities)
                times = np.array([times_ns[index] for index in kept]) / 1e9
                found[name] = find_changes(times, probabilities, threshold)
                strips = _strips(name, times, found[name][: max(DRAWN - len(rows), 0)])
                wanted = {kept[i] for _, cells in strips for i in cells}
                pictures = {
                    index: _cell(rgb)
                    for index, (_, rgb) in enumerate(color_images(reader))
                    if index in wanted
                }
            for title, cells in strips:
                words = [f'{times[i]:.2f} s  p {probabilities[i]:.2f}' for i in cells]
                rows.append(_row(title, [pictures[kept[i]] for i in cells], words))
        write_marks(folder / MARKS, found)
        write_image(folder / PROPOSAL, np.vstack(rows))
        finish_account(account)
        account.write(folder)
    return found, account


def find_changes(
    times: ArrayLike, probabilities: ArrayLike, threshold: float
) -> tuple[Change, ...]:
    """Find where flow starts and stops.

    `times` (N,) s; `probabilities` (N,) of presence. Smoothed by a running median; a stretch above
    the low threshold that exceeds `threshold` somewhere is a flow (hysteresis in both directions
    of time). A change lies midway between the frames that it separates.
    """
    t = np.asarray(times, dtype=float)
    padded = np.pad(np.asarray(probabilities, dtype=float), MEDIAN // 2, mode='edge')
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN), axis=1)
    wet = np.concatenate([[False], smooth > LOW * threshold, [False]])
    edges = np.flatnonzero(wet[1:] != wet[:-1])
    changes = []
    for first, end in edges.reshape(-1, 2):
        if smooth[first:end].max() <= threshold:
            continue
        changes.append(Change(float(t[first - 1 : first + 1].mean()) if first else 0.0, True))
        if end < len(t):
            changes.append(Change(float(t[end - 1 : end + 1].mean()), False))
    return tuple(changes)


def _strips(
    name: str, times: NDArray[np.float64], changes: Sequence[Change]
) -> list[tuple[str, NDArray[np.intp]]]:
    """Title and frames of each row: the whole bag, then the frames around each change."""
    overview = np.linspace(times[0], times[-1], CELLS)
    strips = [(f'{name}: all of it', _nearest(times, overview))]
    for change in changes:
        word = 'starts' if change.liquid else 'stops'
        around = change.time + np.linspace(-SPAN / 2, SPAN / 2, CELLS)
        strips.append((f'{name}: flow {word} at {change.time:.3f} s', _nearest(times, around)))
    return strips


def _nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the times nearest to the given ones, each once."""
    return np.unique(np.abs(times[:, None] - wanted).argmin(axis=0))


def _cell(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height = max(1, round(WIDTH * rgb.shape[0] / rgb.shape[1]))
    how = cv2.INTER_AREA if rgb.shape[1] > WIDTH else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (WIDTH, height), interpolation=how), np.uint8)


def _row(
    title: str, pictures: Sequence[NDArray[np.uint8]], words: Sequence[str]
) -> NDArray[np.uint8]:
    from ..report.drawing import INK, PAPER, put_text

    title_height, caption = 26, 20
    height = max(picture.shape[0] for picture in pictures)
    row = np.full((title_height + height + caption, CELLS * WIDTH, 3), PAPER, np.uint8)
    put_text(row, title, 6, title_height - 8, 11, INK, bold=True)
    for k, (picture, text) in enumerate(zip(pictures, words, strict=True)):
        left = k * WIDTH
        row[title_height : title_height + picture.shape[0], left : left + WIDTH] = picture
        put_text(row, text, left + 6, title_height + height + 14, 8, INK)
    return row
