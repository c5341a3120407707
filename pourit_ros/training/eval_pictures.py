# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose and draw the most telling images of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ..formats.images import read_image
from ..report import drawing as dr
from .eval_sets import read_truth
from .evaluate import Case, Segments

TRUTH, MASK = dr.STREAM, dr.LIQUID
# Pictures of each kind, and the side of one panel, px.
_SHOWN = 6
_PANEL = 480


def choose_pictures(cases: Sequence[Case]) -> list[tuple[str, str, list[Case]]]:
    """Choose the cases for the page: (heading, note, cases), worst first except the best.

    A missed stream is shown once, among the misses.
    """
    found = sorted(
        (case for case in cases if case.present and case.score is not None),
        key=lambda case: 0.0 if case.score is None else case.score.iou,
    )
    count = min(_SHOWN, len(found) // 3) or len(found)
    worst, rest = found[:count], found[count:]
    best, rest = rest[::-1][:count], rest[: max(len(rest) - count, 0)]
    middle = max((len(rest) - count) // 2, 0)
    by_probability = sorted(cases, key=lambda case: case.probability)
    misses = [case for case in by_probability if case.item.liquid and not case.present]
    alarms = [case for case in reversed(by_probability) if not case.item.liquid and case.present]
    return [
        ('Best masks', '', best),
        ('Median masks', '', rest[middle : middle + count]),
        ('Worst masks', 'Of those where liquid was found.', worst),
        ('Misses', f'{len(misses)} in all, most confident first.', misses[:_SHOWN]),
        ('False alarms', f'{len(alarms)} in all, most confident first.', alarms[:_SHOWN]),
    ]


def draw_case(case: Case, segmenter: Segments) -> npt.NDArray[np.uint8]:
    """Draw the image and, beside it, its relevant part with the outlines of both masks.

    Returns (480, 960, 3) uint8 RGB. Truth amber, mask blue. Raises InputError.
    """
    rgb = read_image(case.item.image)
    mask = segmenter.segment(rgb).mask
    truth = np.zeros_like(mask)
    if case.item.truth is not None:
        truth = read_truth(case.item.truth, rgb.shape[:2])
    window = _window(mask | truth)
    left, _ = _fit(rgb)
    right, scale = _fit(rgb[window])
    for region, colour in ((truth, TRUTH), (mask, MASK)):
        _outline(right, region[window], scale, colour)
    return np.concatenate([left, right], axis=1)


def _window(region: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a square around the region, a quarter of the image at least."""
    height, width = region.shape
    if not region.any():
        return slice(0, height), slice(0, width)
    v, u = np.nonzero(region)
    extent = max(np.ptp(v), np.ptp(u)) + 1
    side = int(min(max(1.3 * extent, min(height, width) / 4), max(height, width)))
    spans = []
    for at, length in ((v, height), (u, width)):
        start = int(np.clip((at.min() + at.max() + 1 - side) // 2, 0, max(length - side, 0)))
        spans.append(slice(start, min(start + side, length)))
    return spans[0], spans[1]


def _fit(rgb: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], float]:
    """Scale to a panel, centred on black; return it and the scale."""
    scale = _PANEL / max(rgb.shape[:2])
    height, width = (max(1, round(scale * side)) for side in rgb.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    panel = np.zeros((_PANEL, _PANEL, 3), np.uint8)
    panel[:height, :width] = cv2.resize(rgb, (width, height), interpolation=how)
    return panel, scale


def _outline(
    panel: npt.NDArray[np.uint8], region: npt.NDArray[np.bool_], scale: float, colour: dr.Colour
) -> None:
    height, width = (max(1, round(scale * side)) for side in region.shape)
    large = cv2.resize(region.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        dr.polyline(panel, contour[:, 0], colour, 2, closed=True, halo=False)
