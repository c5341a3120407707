# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read the files that belong to one image: intrinsics, poses, depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry import GeometryError, PinholeCamera, Pose
from .images import decode

# Distortion models of ROS whose coefficients are OpenCV's.
PINHOLE_MODELS = ('', 'none', 'plumb_bob', 'rational_polynomial')
DISTORTION_LENGTHS = (0, 4, 5, 8, 12, 14)


def read_matrix(path: str | Path) -> NDArray[np.float64]:
    """Read a matrix of numbers, one row per line; raises InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    try:
        return np.loadtxt(path, dtype=float, ndmin=2)
    except ValueError:
        raise InputError(f'{path}: is not a matrix of numbers') from None


def read_pose(path: str | Path) -> Pose:
    """Read a pose as a 4x4 matrix, m; raises InputError."""
    try:
        return Pose.from_matrix(read_matrix(path))
    except GeometryError as error:
        raise InputError(f'{path}: {error}') from None


def read_camera(path: str | Path, width: int, height: int) -> PinholeCamera:
    """Read the camera of an image of width x height px; raises InputError.

    A text file holds the 3x3 matrix K in pixels of this image. A .yaml file is one from ROS's
    camera_calibration, whose image size must agree.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in ('.yaml', '.yml'):
            return _from_yaml(path, width, height)
        return PinholeCamera.from_matrix(read_matrix(path), width, height)
    except GeometryError as error:
        raise InputError(f'{path}: {error}') from None


def read_depth(path: str | Path, width: int, height: int) -> NDArray[np.float32]:
    """Read a 16 bit image of depth in mm as (height, width) float32 m, 0: unknown.

    Raises InputError, also for another size.
    """
    millimetres = decode(path, cv2.IMREAD_UNCHANGED)
    if millimetres.dtype != np.uint16 or millimetres.shape != (height, width):
        raise InputError(
            f'{path}: depth is {millimetres.dtype} {millimetres.shape}, '
            f'expected uint16 ({height}, {width})'
        )
    return np.asarray(millimetres, dtype=np.float32) / np.float32(1000)


def _from_yaml(path: Path, width: int, height: int) -> PinholeCamera:
    try:
        fields = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: {getattr(error, "strerror", None) or error}') from None
    except yaml.YAMLError:
        raise InputError(f'{path}: is not valid YAML') from None
    try:
        size = int(fields['image_width']), int(fields['image_height'])
        K = np.asarray(fields['camera_matrix']['data'], dtype=float)
        model = str(fields.get('distortion_model', ''))
        coefficients: Any = fields.get('distortion_coefficients', {}).get('data', ())
        distortion = np.asarray(coefficients, dtype=float)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            f'{path}: is not a camera calibration; expected image_width, image_height and '
            'camera_matrix: {data: [9 numbers]}'
        ) from None
    if K.size != 9:
        raise InputError(f'{path}: camera_matrix has {K.size} numbers, expected 9')
    if distortion.size not in DISTORTION_LENGTHS:
        raise InputError(f'{path}: distortion_coefficients has {distortion.size} numbers')
    if model not in PINHOLE_MODELS:
        raise InputError(
            f'{path}: distortion model {model} is not supported; rectify the image first'
        )
    if size != (width, height):
        raise InputError(
            f'{path}: is for images of {size[0]}x{size[1]}, the image is {width}x{height}'
        )
    return PinholeCamera.from_matrix(K.reshape(3, 3), width, height, distortion)
