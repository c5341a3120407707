# SPDX-License-Identifier: Apache-2.0
"""RGB-D scenes in the file layout of PourIt! (ICCV 2023)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .geometry import GeometryError, PinholeCamera, Pose
from .perception.segmentation import Segmentation
from .pipeline import NANOSECONDS, Frame

TWINS = ('_pos', '_neg')
COLOR_SUFFIXES = ('_rgb.png', '_rgb.jpg')
# Stills carry no time; they count at a camera's pace from one second on.
FIRST_STAMP_NS = NANOSECONDS
PERIOD_NS = NANOSECONDS // 30


class SceneError(InputError):
    """A scene whose files cannot be used; one line that names the file."""


def load_pourit_scene(folder: str | Path) -> list[Frame]:
    """Load every frame of a folder, in order of the names.

    For each stem: `_rgb.png|jpg`, `_camK.txt` (3x3, px); optional `_depth.png` (uint16 mm,
    aligned to colour), `_Tobj2cam.txt` or `_Tsource2cam.txt`, `_Tcam2base.txt`,
    `_Ttarget2cam.txt` (4x4, m). `Frame.problem` names the poses that are not there. The twins
    `<id>_pos`, `<id>_neg` of `pourit synth` share `<id>_camK.txt` and the poses.
    Raises SceneError.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SceneError(f'{folder}: no such folder')
    colors = sorted(f for suffix in COLOR_SUFFIXES for f in folder.glob(f'*{suffix}'))
    if not colors:
        raise SceneError(f'{folder}: holds no *_rgb.png or *_rgb.jpg')
    stems = [color.name.rsplit('_rgb', 1)[0] for color in colors]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice:
        raise SceneError(f'{folder}: {min(twice)} has two colour images')
    return [
        _load_frame(color, folder / stem, FIRST_STAMP_NS + k * PERIOD_NS)
        for k, (color, stem) in enumerate(zip(colors, stems, strict=True))
    ]


def load_pourit_frame(color_file: str | Path) -> Frame:
    """Load the one frame of a colour file `<stem>_rgb.png|jpg`; raises SceneError."""
    path = Path(color_file)
    stem = path.name.rsplit('_rgb', 1)[0]
    return _load_frame(path, path.with_name(stem), FIRST_STAMP_NS)


def load_pourit_segmentation(folder: str | Path, frame: Frame) -> Segmentation:
    """Load a scene frame's own `_mask.png` (0 / 255) and, where it is, `_cam.png` (0..255).

    Without a CAM the mask is it. Of `pourit synth`'s twins `<id>_pos` has `<id>_mask_air.png` and
    `<id>_neg` no liquid. Raises SceneError.
    """
    stem = Path(folder) / frame.name
    mask_file, cam_file = _beside(stem, '_mask.png'), _beside(stem, '_cam.png')
    twin_mask = _shared(stem, '_mask_air.png')
    if not mask_file.is_file() and twin_mask.is_file():
        positive = stem.name.endswith(TWINS[0])
        mask = _read_grey(twin_mask, frame) > 127
        mask &= positive
    else:
        mask = _read_grey(mask_file, frame) > 127
    if cam_file.exists():
        cam = np.asarray(_read_grey(cam_file, frame), dtype=np.float32) / np.float32(255)
    else:
        cam = mask.astype(np.float32)
    present = bool(mask.any())
    return Segmentation(float(present), present, cam, mask)


def _load_frame(color_file: Path, stem: Path, stamp_ns: int) -> Frame:
    bgr = cv2.imread(str(color_file), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SceneError(f'{color_file}: is no readable image')
    height, width = bgr.shape[:2]
    K_file = _shared(stem, '_camK.txt')
    try:
        camera = PinholeCamera.from_matrix(_read_matrix(K_file), width, height)
    except GeometryError as error:
        raise SceneError(f'{K_file}: {error}') from None
    T_cam_source = _read_pose(_shared(stem, '_Tsource2cam.txt')) or _read_pose(
        _beside(stem, '_Tobj2cam.txt')
    )
    T_base_cam = _read_pose(_shared(stem, '_Tcam2base.txt'))
    T_cam_target = _read_pose(_shared(stem, '_Ttarget2cam.txt'))
    problems = []
    if T_cam_source is None:
        problems.append(f'no source pose ({stem.name}_Tobj2cam.txt or _Tsource2cam.txt)')
    if T_base_cam is None:
        problems.append(f'no camera pose ({stem.name}_Tcam2base.txt)')
    return Frame(
        stamp_ns=stamp_ns,
        name=stem.name,
        color=np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8),
        camera=camera,
        depth=_read_depth(_beside(stem, '_depth.png'), width, height),
        T_cam_source=T_cam_source,
        T_base_cam=T_base_cam,
        T_base_target=T_base_cam @ T_cam_target if T_base_cam and T_cam_target else None,
        problem='; '.join(problems),
    )


def _beside(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _shared(stem: Path, suffix: str) -> Path:
    """The frame's own file or, where it has none, the one that it shares with its twin."""
    own = _beside(stem, suffix)
    if not own.is_file() and stem.name.endswith(TWINS):
        both = _beside(stem.with_name(stem.name[:-4]), suffix)
        return both if both.is_file() else own
    return own


def _read_matrix(path: Path) -> NDArray[np.float64]:
    if not path.is_file():
        raise SceneError(f'{path}: no such file')
    try:
        return np.loadtxt(path, dtype=float, ndmin=2)
    except ValueError:
        raise SceneError(f'{path}: is no matrix of numbers') from None


def _read_pose(path: Path) -> Pose | None:
    if not path.is_file():
        return None
    try:
        return Pose.from_matrix(_read_matrix(path))
    except GeometryError as error:
        raise SceneError(f'{path}: {error}') from None


def _read_depth(path: Path, width: int, height: int) -> NDArray[np.float32] | None:
    if not path.is_file():
        return None
    millimetres = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if millimetres is None:
        raise SceneError(f'{path}: is no readable image')
    if millimetres.dtype != np.uint16 or millimetres.shape != (height, width):
        raise SceneError(
            f'{path}: depth is {millimetres.dtype} {millimetres.shape}, '
            f'expected uint16 ({height}, {width})'
        )
    return np.asarray(millimetres, dtype=np.float32) / np.float32(1000)


def _read_grey(path: Path, frame: Frame) -> NDArray[np.uint8]:
    if not path.is_file():
        raise SceneError(f'{path}: no such file')
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise SceneError(f'{path}: is no readable image')
    if grey.shape != frame.color.shape[:2]:
        raise SceneError(f'{path}: is {grey.shape}, the image is {frame.color.shape[:2]}')
    return np.asarray(grey, dtype=np.uint8)
