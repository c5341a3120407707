# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo to the camera of an image: crop, binning and scale by REP 104, and as drivers do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import GeometryError, PinholeCamera
from .errors import MessageError

# Models that OpenCV's coefficients describe. `inverse_brown_conrady` is how librealsense labels
# its colour cameras; since 2.45 it projects and deprojects them by the plain model, whose
# tangential part it applies to the radially distorted point. With a D435's or D455's small
# coefficients (all below INVERSE_LIMIT) that differs from OpenCV's by less than 0.01 px.
MODELS = ('plumb_bob', 'rational_polynomial', 'inverse_brown_conrady')
INVERSE_LIMIT = 0.25
# Without coefficients these are pinholes, too; others (equidistant, ...) bend rays even so.
PINHOLES = ('', 'none', 'pinhole', 'brown_conrady', 'modified_brown_conrady', *MODELS)
# Numbers of coefficients that OpenCV's distortion model takes.
DISTORTION_LENGTHS = (0, 4, 5, 8, 12, 14)

# How far from the middle of the sensor a principal point may lie, as a part of the sensor's size:
# calibrated cameras have up to 0.03, mended lenses 0.08.
CENTRED, OFF_CENTRE = 0.05, 0.15
# Of two readings, one has to be nearer to its middle by so much to be believed.
CLEARLY = 0.1
# A sensor that the principal point implies is so much larger or smaller, at most.
IMPLIED = 0.9
# A driver rounds the sizes of what it bins and crops, px.
ROUNDING = 1.0


@dataclass(frozen=True)
class _Window:
    """What a camera info says about its image, in px of the unbinned sensor."""

    info: tuple[int, int]
    offset: tuple[int, int]
    size: tuple[int, int]
    binning: tuple[int, int]

    @property
    def cropped(self) -> bool:
        """Whether the image is smaller than the info's."""
        return any(self.offset) or self.size != self.info

    @property
    def within(self) -> bool:
        """Whether the region lies within the info's size, which is then the sensor's."""
        return all(o + s <= n for o, s, n in zip(self.offset, self.size, self.info, strict=True))

    def numbers(self, image: tuple[int, int], K: NDArray[np.float64]) -> str:
        """All numbers that must match."""
        (w, h), (x, y), (rw, rh), (bx, by) = self.info, self.offset, self.size, self.binning
        return (
            f'camera info of {w}x{h} with roi {rw}x{rh} at ({x}, {y}), binning {bx}x{by} and '
            f'principal point ({K[0, 2]:.1f}, {K[1, 2]:.1f}), image of {image[0]}x{image[1]}'
        )


def camera_from_info(msg: Any, width: int, height: int, rectified: bool = False) -> PinholeCamera:
    """Return the camera of an image of width x height px from its CameraInfo.

    A raw image has K and D, a `rectified` one P without D (R is not applied, as in
    image_geometry). REP 104: `width`, `height`, K and P are of the whole sensor, the image is
    its `roi`, binned (0 means 1; a roi of all 0 the whole). Some drivers give the size of the
    crop, or of the binned image, and either keep K or move it along. The image's size and the
    place of the principal point show what is meant:

    - the roi lies within the info's size: that is the sensor, and K is the sensor's where its
      principal point then is near the middle, else that of the crop where that is;
    - it does not: the info's size is the crop's, and K the sensor's where the sensor that it
      implies (twice the principal point) can hold the roi, else the crop's;
    - the image has the info's size although the roi is smaller: it was not cropped;
    - the image is a scaled copy of what it should be: the camera is scaled too.

    Raises MessageError with all the numbers where no reading fits, or more than one does; for a
    principal point outside the image that no roi explains; for lens models without a pinhole.
    """
    window = _window(msg)
    matrix, distortion = _rectified(msg) if rectified else _raw(msg)
    image = (int(width), int(height))
    try:
        sensor = PinholeCamera.from_matrix(matrix, *window.info, distortion)
        if window.cropped or window.binning != (1, 1):
            return _windowed(sensor, window, image, rectified and bool(msg.roi.do_rectify))
        camera = sensor
        if image != window.info:
            camera = sensor.resize(*image)
            if not _scaled(image, window.info):
                raise MessageError(
                    f'camera info is for {window.info[0]}x{window.info[1]}; the image of '
                    f'{image[0]}x{image[1]} is not a scaled copy of that'
                )
    except GeometryError as error:
        raise MessageError(str(error)) from None
    if not _inside(camera):
        raise MessageError(
            f'the principal point lies outside the image ({window.numbers(image, matrix)}): '
            'is K that of the whole sensor, and the image a crop? Publish width and height of '
            'the sensor, and the '
            'crop as roi'
        )
    return camera


def check_camera_info(msg: Any, rectified: bool = False) -> None:
    """Raise MessageError on a camera info that fits no image at all."""
    window = _window(msg)
    matrix, distortion = _rectified(msg) if rectified else _raw(msg)
    try:
        PinholeCamera.from_matrix(matrix, *window.info, distortion)
    except GeometryError as error:
        raise MessageError(str(error)) from None


def is_rectified(topic: str) -> bool:
    """Whether an image's topic is named like the rectified ones of image_proc: `image_rect_color`.

    A part of the path has `rect` or `rectified` as a whole word.
    """
    return any(word in ('rect', 'rectified') for word in re.split(r'[/_]', topic.lower()))


def _window(msg: Any) -> _Window:
    info = int(msg.width), int(msg.height)
    if min(info) < 1:
        raise MessageError(f'camera info is for an image of {info[0]}x{info[1]}')
    roi = msg.roi
    offset = int(roi.x_offset), int(roi.y_offset)
    size = int(roi.width) or info[0], int(roi.height) or info[1]
    return _Window(info, offset, size, (int(msg.binning_x) or 1, int(msg.binning_y) or 1))


def _raw(msg: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """K (3, 3) and D."""
    K = np.asarray(msg.k, dtype=float).reshape(-1)
    if K.shape != (9,) or not np.isfinite(K).all():
        raise MessageError('camera info: K must be nine finite numbers')
    if K[0] == 0:
        raise MessageError('camera info is uncalibrated (K[0] = 0): calibrate the camera')
    D = np.asarray(msg.d, dtype=float).reshape(-1)
    model = str(msg.distortion_model).strip().lower().replace('-', '_')
    known = MODELS if np.any(D) else PINHOLES
    too_large = model == 'inverse_brown_conrady' and np.abs(D).max(initial=0) > INVERSE_LIMIT
    if model not in known or too_large:
        large = f' with coefficients beyond {INVERSE_LIMIT}' if too_large else ''
        raise MessageError(
            f'camera info: distortion model {msg.distortion_model!r}{large} is not supported: '
            'rectify the image'
        )
    if np.any(D) and len(D) not in DISTORTION_LENGTHS:
        raise MessageError(f'camera info: D has {len(D)} coefficients')
    return K.reshape(3, 3), D


def _rectified(msg: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The left part of P (3, 3), and no distortion."""
    P = np.asarray(msg.p, dtype=float).reshape(-1)
    if P.shape != (12,) or not np.isfinite(P).all():
        raise MessageError('camera info: P must be twelve finite numbers')
    if P[0] != 0:
        return P.reshape(3, 4)[:, :3], np.zeros(0)
    K, D = _raw(msg)
    if np.any(D):
        raise MessageError(
            'camera info: P is empty (P[0] = 0), but a rectified image needs it: calibrate the '
            'camera, or use the raw image'
        )
    return K, D


def _windowed(
    sensor: PinholeCamera, window: _Window, image: tuple[int, int], own_roi: bool
) -> PinholeCamera:
    """The camera of an image that is cropped or binned.

    `own_roi`: the region of the rectified image differs from the raw one's.
    """
    K = sensor.matrix
    numbers = window.numbers(image, K)
    (x, y), (w, h) = window.offset, window.size
    binned = w / window.binning[0], h / window.binning[1]
    if window.within and _near(image, window.info) and not _near(image, binned):
        as_it_is = sensor.crop(0, 0, *image)
        if window.cropped:
            # It was not cropped, whatever the roi is for.
            return _centred([as_it_is], [_off_centre(as_it_is)], numbers)
        bx, by = window.binning
        unbinned = sensor.crop(0, 0, w * bx, h * by).resize(*image)
        cameras = [unbinned, as_it_is]
        return _centred(cameras, [_off_centre(camera) for camera in cameras], numbers)
    if not (_near(image, binned) or _near(image, window.size)):
        either = window.cropped and window.within and _scaled(image, window.info)
        if own_roi or either or not _scaled(image, window.size):
            raise MessageError(f'the image does not match its camera info: {numbers}')
    # K of the whole sensor, of the crop before it was binned, of the image as it is.
    of_sensor = sensor.crop(x, y, w, h).resize(*image)
    of_crop = sensor.crop(0, 0, w, h).resize(*image)
    of_image = sensor.crop(0, 0, *image)
    if window.within:
        # The info's size is the sensor's, whose middle decides.
        cameras, whole = [of_sensor, of_crop, of_image], []
        for camera in cameras:
            whole.append(camera.resize(w, h).crop(-x, -y, *window.info))
        return _centred(cameras, [_off_centre(camera) for camera in whole], numbers)
    if not (_near(window.size, window.info) or _near(image, window.info)):
        raise MessageError(f'the roi does not lie within its camera info: {numbers}')
    cameras = [camera for camera in (of_crop, of_image) if _inside(camera)]
    if min(2 * K[0, 2] - IMPLIED * (x + w), 2 * K[1, 2] - IMPLIED * (y + h)) >= 0:
        cameras.insert(0, of_sensor)
    return _nearest(cameras, numbers)


def _centred(cameras: list[PinholeCamera], off: list[float], numbers: str) -> PinholeCamera:
    """The first camera, REP 104's, if it is centred on its sensor; else the most centred one."""
    if off[0] <= CENTRED:
        return cameras[0]
    best = min(range(len(cameras)), key=off.__getitem__)
    if off[best] > OFF_CENTRE:
        raise MessageError(
            f'the principal point is nowhere near the middle of the sensor: {numbers}'
        )
    return cameras[best]


def _nearest(cameras: list[PinholeCamera], numbers: str) -> PinholeCamera:
    """The camera whose principal point is clearly the nearest to the middle of its image."""
    if not cameras:
        raise MessageError(f'the principal point fits neither sensor nor crop: {numbers}')
    cameras = sorted(cameras, key=_off_centre)
    first = cameras[0]
    for other in cameras[1:]:
        if other != first and _off_centre(other) < _off_centre(first) + CLEARLY:
            raise MessageError(
                f'K may belong to the sensor or to the crop: {numbers}; publish width and height '
                'of '
                'the sensor'
            )
    return first


def _off_centre(camera: PinholeCamera) -> float:
    """How far the principal point is from the middle, as a part of the image's size."""
    return max(
        abs(camera.cx + 0.5 - camera.width / 2) / camera.width,
        abs(camera.cy + 0.5 - camera.height / 2) / camera.height,
    )


def _inside(camera: PinholeCamera) -> bool:
    return -0.5 <= camera.cx <= camera.width - 0.5 and -0.5 <= camera.cy <= camera.height - 0.5


def _near(size: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two sizes are the same up to rounding."""
    return all(abs(a - b) <= ROUNDING for a, b in zip(size, other, strict=True))


def _scaled(image: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether an image can be a scaled copy, up to one pixel of rounding; more is a crop."""
    return abs(image[0] * size[1] - image[1] * size[0]) <= max(size)
