# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the pipeline's results over the camera image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..geometry import PourGeometry
from ..perception.segmentation import Segmentation
from ..pipeline import Frame, PourEstimate
from . import drawing as dr

TINT = 0.4
BOX_ALPHA = 0.8
# Share of the image's height that the text may cover before it is set smaller.
TEXT_SHARE = 0.4
MIN_TEXT = 5.0


def overlay(
    image: NDArray[np.uint8],
    segmentation: Segmentation,
    estimate: PourEstimate | None = None,
    frame: Frame | None = None,
) -> NDArray[np.uint8]:
    """Draw mask, presence and, if known, the measurement onto a copy of an image.

    image: (H, W, 3) uint8 RGB, like the result. `estimate` adds a line of text; `frame` provides
    camera and poses to project the lowest point (white), the fitted stream (amber, dashed where it
    is not visible), the landing point with an arrow to the target's mouth, and the target's rim
    (mint: it lands inside, red: outside). Raises InputError when mask and image differ in size.

    >>> from pourit_ros import Segmenter, read_image
    >>> image = read_image('photo.jpg')
    >>> drawn = overlay(image, Segmenter()(image))
    >>> drawn.shape == image.shape
    True
    """
    canvas = np.array(image)
    paint_mask(canvas, segmentation.mask)
    if estimate is not None and frame is not None:
        geometry = estimate.geometry
        rim = None if geometry.margin is None else geometry.rim
        draw_measurement(canvas, geometry, frame, None if rim is None else rim.circle())
    _draw_presence(canvas, segmentation)
    if estimate is not None:
        _draw_text(canvas, describe(estimate))
    return canvas


def paint_mask(canvas: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    """Tint the mask (H, W) in place and outline it; raises InputError."""
    if canvas.shape != (*mask.shape, 3) or canvas.dtype != np.uint8:
        raise InputError(
            f'overlay: image {canvas.dtype} {canvas.shape} and mask {mask.shape} do not match'
        )
    if not mask.any():
        return
    tint = (1 - TINT) * canvas[mask] + TINT * np.array(dr.LIQUID)
    canvas[mask] = np.round(tint).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    outline = max(1, dr.line_width(canvas) - 1)
    cv2.drawContours(canvas, contours, -1, dr.LIQUID, outline, cv2.LINE_AA)


def draw_measurement(
    canvas: NDArray[np.uint8],
    geometry: PourGeometry,
    frame: Frame,
    rim: NDArray[np.float64] | None,
) -> None:
    """Project rim, stream, landing point and lowest point into the frame's image, in place.

    `rim` (N, 3) m, base frame: the target's. Draws nothing without the camera's pose.
    """
    if frame.T_base_cam is None:
        return
    width = dr.line_width(canvas)
    colour = verdict(geometry.margin)
    if rim is not None:
        dr.polyline(canvas, project(frame, rim), colour, width, closed=True)
    seen, unseen = stream_curve(geometry)
    dr.dashes(canvas, project(frame, unseen), dr.STREAM, width, 4.0 * width)
    dr.polyline(canvas, project(frame, seen), dr.STREAM, width)
    if geometry.landing_point is not None:
        landing = project(frame, geometry.landing_point)[0]
        if geometry.offset is not None:
            mouth = project(frame, geometry.landing_point - geometry.offset)[0]
            dr.arrow(canvas, landing, mouth, colour, width)
        dr.cross(canvas, landing, 2.5 * width + 1, colour, width)
    if geometry.lowest_point is not None:
        dr.disc(canvas, project(frame, geometry.lowest_point)[0], 1.5 * width + 0.5, dr.LOWEST)


def project(frame: Frame, points: ArrayLike) -> NDArray[np.float64]:
    """Project points (N, 3) of the base frame, m, to pixels (N, 2); NaN behind the camera."""
    points = np.asarray(points, dtype=float).reshape(-1, 3)
    if frame.T_base_cam is None:
        return np.full((len(points), 2), np.nan)
    seen = frame.T_base_cam.inverse().apply(points)
    pixels = np.full((len(points), 2), np.nan)
    ahead = seen[:, 2] > 1e-3
    if ahead.any():
        pixels[ahead] = frame.camera.project(seen[ahead])
    return pixels


def verdict(margin: float | None) -> dr.Colour:
    """Mint where it lands inside, red outside, grey where that is unknown."""
    if margin is None:
        return dr.MUTED
    return dr.INSIDE if margin >= 0 else dr.OUTSIDE


def stream_curve(geometry: PourGeometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The fitted centre line in the base frame: to the lowest point, and from there to the rim."""
    if geometry.stream is None or geometry.lowest_point is None:
        return np.zeros((0, 3)), np.zeros((0, 3))
    lowest = float(geometry.lowest_point[2])
    bottom = lowest
    if geometry.landing_point is not None:
        bottom = min(lowest, float(geometry.landing_point[2]))
    curve = geometry.curve(bottom, 80)
    seen = curve[:, 2] >= lowest
    # The first unseen point too, so that the dashes start where the line ends.
    return curve[seen], curve[max(int(seen.sum()) - 1, 0) :]


def describe(estimate: PourEstimate) -> list[tuple[str, dr.Colour]]:
    """The estimate in phrases, each with the colour of its subject."""
    if not estimate.present:
        return [('no liquid', dr.MUTED)]
    geometry = estimate.geometry
    phrases: list[tuple[str, dr.Colour]] = []
    if geometry.distance is not None:
        phrases.append((f'distance {1000 * geometry.distance:.0f} mm', dr.LOWEST))
    if geometry.offset is not None:
        x, y, _ = (_signed_mm(c) for c in geometry.offset)
        phrases.append((f'offset x {x} y {y} mm', dr.LOWEST))
    if geometry.margin is not None:
        side = 'inside' if geometry.margin >= 0 else 'outside'
        phrases.append(
            (f'margin {_signed_mm(geometry.margin)} mm: {side}', verdict(geometry.margin))
        )
    phrases += [(reason, dr.CAUTION) for reason in estimate.reason.split('; ') if reason]
    return phrases


def _signed_mm(metres: float) -> str:
    mm = round(1000 * float(metres))
    return f'{mm:+d}' if mm else '0'


def _text_height(canvas: NDArray[np.uint8]) -> float:
    return max(7.0, min(canvas.shape[:2]) / 40)


def _draw_presence(canvas: NDArray[np.uint8], segmentation: Segmentation) -> None:
    """Lamp, word, probability bar and per cent in the top left corner."""
    height = _text_height(canvas)
    colour = dr.LIQUID if segmentation.present else dr.MUTED
    probability = float(np.clip(segmentation.probability, 0, 1))
    word, share = 'liquid', f'{100 * probability:.0f}%'
    pad, bar = round(0.8 * height), round(5 * height)
    x = y = round(0.8 * height)
    tall = round(height + 2 * pad)
    word_left = x + pad + 1.8 * height
    bar_left = round(word_left + dr.text_size(word, height)[0] + 0.8 * height)
    share_left = bar_left + bar + 0.8 * height
    wide = round(share_left + dr.text_size('100%', height)[0] + pad) - x
    dr.shade(canvas, (x, y, wide, tall), dr.INK, BOX_ALPHA)
    middle, baseline = y + tall / 2, y + pad + height
    rim = colour if segmentation.present else dr.PAPER
    lamp = dr.LIQUID if segmentation.present else dr.INK
    dr.disc(canvas, (x + pad + 0.5 * height, middle - 0.5), 0.45 * height, lamp, rim)
    text = dr.PAPER if segmentation.present else dr.MUTED
    dr.put_text(canvas, word, word_left, baseline, height, text)
    dr.shade(canvas, (bar_left, round(middle - 0.25 * height), bar, round(0.5 * height)),
             dr.PAPER, 0.25)  # fmt: skip
    dr.shade(canvas, (bar_left, round(middle - 0.25 * height), round(bar * probability),
                      round(0.5 * height)), colour, 1.0)  # fmt: skip
    dr.put_text(canvas, share, share_left, baseline, height, text)


def _draw_text(canvas: NDArray[np.uint8], phrases: list[tuple[str, dr.Colour]]) -> None:
    """Write the phrases into a dark box at the bottom, smaller if there are many."""
    if not phrases:
        return
    image_height, image_width = canvas.shape[:2]
    height = _text_height(canvas)
    while True:
        pad = round(0.8 * height)
        lines = dr.wrap(phrases, image_width - 4 * pad, height)
        pitch = 1.9 * height
        tall = round(pitch * (len(lines) - 1) + height + 2 * pad)
        if tall <= TEXT_SHARE * image_height or height <= MIN_TEXT:
            break
        height -= 0.5
    gap = dr.text_size('mm', height)[0]
    widths = [sum(dr.text_size(text, height)[0] + gap for text, _ in line) - gap for line in lines]
    left, top = pad, image_height - pad - tall
    dr.shade(canvas, (left, top, round(max(widths)) + 2 * pad, tall), dr.INK, BOX_ALPHA)
    for k, line in enumerate(lines):
        x = float(left + pad)
        for text, colour in line:
            dr.put_text(canvas, text, x, top + pad + height + k * pitch, height, colour)
            x += dr.text_size(text, height)[0] + gap
