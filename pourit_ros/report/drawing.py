# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Palette and anti-aliased drawing primitives shared by overlay and lift image.

Images are (H, W, 3) uint8 RGB and are changed in place; positions are pixels (x, y), sub-pixel,
with pixel centres at integers.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = tuple[int, int, int]

LIQUID: Colour = (0, 178, 255)
STREAM: Colour = (255, 196, 0)
LOWEST: Colour = (255, 255, 255)
# These two stay apart for people who do not tell red from green, also under the tint of liquid.
INSIDE: Colour = (120, 255, 210)
OUTSIDE: Colour = (240, 70, 25)
PLANE: Colour = (155, 105, 235)
SOURCE: Colour = (255, 105, 190)
CAUTION: Colour = (255, 196, 0)
INK: Colour = (28, 32, 38)
PAPER: Colour = (255, 255, 255)
MUTED: Colour = (165, 172, 180)

FONT = cv2.FONT_HERSHEY_SIMPLEX
# Fixed-point fraction of OpenCV's drawing coordinates.
_SHIFT = 4
# Farther outside than this, in image sizes, a point is off-screen for good.
_REACH = 8


def line_width(image: NDArray[np.uint8]) -> int:
    """Width (px) of a line that looks the same at 320x240 and at 1280x720."""
    return max(1, round(min(image.shape[:2]) / 260))


def _fixed(points: ArrayLike) -> NDArray[np.int32]:
    return np.round(np.asarray(points, dtype=float) * 2**_SHIFT).astype(np.int32)


def _drawable(image: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.float64]:
    limit = _REACH * max(image.shape[:2])
    return points[(np.isfinite(points) & (np.abs(points) < limit)).all(axis=-1)]


def polyline(
    image: NDArray[np.uint8],
    points: ArrayLike,
    colour: Colour,
    width: int,
    closed: bool = False,
    halo: bool = True,
) -> None:
    """Draw the polyline (N, 2); `halo` adds a dark edge so that it shows on any background."""
    drawable = _drawable(image, np.asarray(points, dtype=float).reshape(-1, 2))
    if len(drawable) < 2:
        return
    fixed = [_fixed(drawable)]
    if halo:
        cv2.polylines(image, fixed, closed, INK, width + 2, cv2.LINE_AA, _SHIFT)
    cv2.polylines(image, fixed, closed, colour, width, cv2.LINE_AA, _SHIFT)


def dashes(
    image: NDArray[np.uint8], points: ArrayLike, colour: Colour, width: int, length: float
) -> None:
    """Draw the polyline (N, 2) dashed, dashes and gaps `length` px long."""
    drawable = _drawable(image, np.asarray(points, dtype=float).reshape(-1, 2))
    if len(drawable) < 2:
        return
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(drawable, axis=0), axis=1))])
    for start in np.arange(0, along[-1], 2 * length):
        at = np.linspace(start, min(start + length, along[-1]), 8)
        dash = np.column_stack([np.interp(at, along, drawable[:, k]) for k in range(2)])
        polyline(image, dash, colour, width)


def arrow(
    image: NDArray[np.uint8], start: ArrayLike, end: ArrayLike, colour: Colour, width: int
) -> None:
    """Draw an arrow; a short one is only a head, one too short to see is left out."""
    ends = _drawable(image, np.array([start, end], dtype=float))
    if len(ends) < 2:
        return
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    if length < 2 * width + 2:
        return
    along /= length
    across = np.array([-along[1], along[0]])
    head = min(4.0 * width + 3, length)
    neck = ends[1] - head * along
    if length > head:
        polyline(image, [ends[0], neck], colour, width)
    corners = [ends[1], neck + 0.5 * head * across, neck - 0.5 * head * across]
    polyline(image, corners, INK, 2, closed=True, halo=False)
    cv2.fillPoly(image, [_fixed(corners)], colour, cv2.LINE_AA, _SHIFT)


def disc(
    image: NDArray[np.uint8], centre: ArrayLike, radius: float, colour: Colour, rim: Colour = INK
) -> None:
    """Draw a filled disc with a rim of a pixel or two."""
    drawable = _drawable(image, np.asarray(centre, dtype=float).reshape(1, 2))
    if len(drawable) == 0:
        return
    x, y = _fixed(drawable[0])
    edge = max(1.0, radius / 3)
    for r, c in ((radius + edge, rim), (radius, colour)):
        cv2.circle(image, (int(x), int(y)), int(_fixed(r)), c, -1, cv2.LINE_AA, _SHIFT)


def cross(
    image: NDArray[np.uint8], centre: ArrayLike, radius: float, colour: Colour, width: int
) -> None:
    """Draw an upright x of half-width `radius` px."""
    c = np.asarray(centre, dtype=float)
    arms = radius * np.array([[[-1, -1], [1, 1]], [[-1, 1], [1, -1]]])
    for arm in arms:
        polyline(image, c + arm, INK, width + 2, halo=False)
    for arm in arms:
        polyline(image, c + arm, colour, width, halo=False)


def shade(
    image: NDArray[np.uint8], box: tuple[int, int, int, int], colour: Colour, alpha: float
) -> None:
    """Blend a colour over the box (x, y, width, height), clipped to the image."""
    x, y, width, height = box
    part = image[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    part[:] = np.round(part * (1 - alpha) + np.multiply(colour, alpha)).astype(np.uint8)


def text_size(text: str, height: float, bold: bool = False) -> tuple[int, int]:
    """Width and ascent (px) of a line of text whose capitals are `height` px tall."""
    (width, ascent), _ = cv2.getTextSize(text, FONT, _scale(height), 1 + bold)
    return width, ascent


def put_text(
    image: NDArray[np.uint8],
    text: str,
    left: float,
    baseline: float,
    height: float,
    colour: Colour,
    bold: bool = False,
) -> None:
    """Write one line of ASCII text; `height` (px) is that of its capitals."""
    at = (round(left), round(baseline))
    cv2.putText(image, text, at, FONT, _scale(height), colour, 1 + bold, cv2.LINE_AA)


def _scale(height: float) -> float:
    # Capitals of OpenCV's simplex font are 21 px tall at scale 1.
    return height / 21


def wrap(words: Sequence[tuple[str, Colour]], width: float, height: float) -> list[Line]:
    """Break phrases into lines of at most `width` px.

    A phrase moves to the next line whole; one wider than a line breaks at spaces, and a word wider
    than a line between characters, so that no text is cut off.
    """
    gap = text_size('mm', height)[0]
    lines: list[Line] = []
    room = 0.0
    for phrase, colour in words:
        for piece in _pieces(phrase, width, height):
            needed = text_size(piece, height)[0]
            if lines and needed <= room:
                lines[-1].append((piece, colour))
            else:
                lines.append([(piece, colour)])
                room = width
            room -= needed + gap
    return lines


Line = list[tuple[str, Colour]]


def _pieces(phrase: str, width: float, height: float) -> list[str]:
    """The phrase in pieces of at most `width` px."""
    if text_size(phrase, height)[0] <= width:
        return [phrase]
    pieces = ['']
    for word in phrase.split():
        joined = f'{pieces[-1]} {word}'.strip()
        if text_size(joined, height)[0] <= width:
            pieces[-1] = joined
            continue
        pieces.append('')
        for letter in word:
            if pieces[-1] and text_size(pieces[-1] + letter, height)[0] > width:
                pieces.append('')
            pieces[-1] += letter
    return [piece for piece in pieces if piece]
