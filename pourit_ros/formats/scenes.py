# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""RGB-D scenes in the file layout of PourIt! (ICCV 2023)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..perception.segmentation import Segmentation
from ..pipeline import NANOSECONDS, Frame
from .images import read_grey

TWINS = ('_pos', '_neg')
COLOR_SUFFIXES = ('_rgb.png', '_rgb.jpg')
# Stills carry no time; they count at a camera's pace from one second on.
FIRST_STAMP_NS = NANOSECONDS
PERIOD_NS = NANOSECONDS // 30


def load_pourit_scene(folder: str | Path) -> list[Frame]:
    """Load every frame of a folder, in order of the names.

    For each stem: `_rgb.png|jpg`, `_camK.txt` (3x3, px); optional `_depth.png` (uint16 mm,
    aligned to colour), `_Tobj2cam.txt` or `_Tsource2cam.txt`, `_Tcam2base.txt`,
    `_Ttarget2cam.txt` (4x4, m). `Frame.problem` names the missing poses. The twins `<id>_pos`,
    `<id>_neg` of `pourit synth` share `<id>_camK.txt` and the poses. Raises InputError.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    colors = sorted(f for suffix in COLOR_SUFFIXES for f in folder.glob(f'*{suffix}'))
    if not colors:
        raise InputError(f'{folder}: holds no *_rgb.png or *_rgb.jpg')
    stems = [color.name.rsplit('_rgb', 1)[0] for color in colors]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice:
        raise InputError(f'{folder}: {min(twice)} has two colour images')
    return [
        _load_frame(color, folder / stem, FIRST_STAMP_NS + k * PERIOD_NS)
        for k, (color, stem) in enumerate(zip(colors, stems, strict=True))
    ]


def load_pourit_frame(color_file: str | Path) -> Frame:
    """Load the one frame of a colour file `<stem>_rgb.png|jpg`; raises InputError."""
    path = Path(color_file)
    stem = path.name.rsplit('_rgb', 1)[0]
    return _load_frame(path, path.with_name(stem), FIRST_STAMP_NS)


def load_pourit_segmentation(folder: str | Path, frame: Frame) -> Segmentation:
    """Load a scene frame's own `_mask.png` (0 / 255) and, if present, `_cam.png` (0..255).

    Without a CAM the mask replaces it. Of `pourit synth`'s twins, `<id>_pos` has
    `<id>_mask_air.png`, and `<id>_neg` has no liquid. Raises InputError.
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
    source = _known(_shared(stem, '_Tsource2cam.txt')) or _known(_beside(stem, '_Tobj2cam.txt'))
    camera_pose = _known(_shared(stem, '_Tcam2base.txt'))
    problems = []
    if source is None:
        problems.append(f'no source pose ({stem.name}_Tobj2cam.txt or _Tsource2cam.txt)')
    if camera_pose is None:
        problems.append(f'no camera pose ({stem.name}_Tcam2base.txt)')
    frame = Frame.from_files(
        color_file,
        _shared(stem, '_camK.txt'),
        depth=_known(_beside(stem, '_depth.png')),
        T_cam_source=source,
        T_base_cam=camera_pose,
        T_cam_target=camera_pose and _known(_shared(stem, '_Ttarget2cam.txt')),
        stamp_ns=stamp_ns,
        name=stem.name,
    )
    return replace(frame, problem='; '.join(problems))


def _known(path: Path) -> Path | None:
    return path if path.is_file() else None


def _beside(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _shared(stem: Path, suffix: str) -> Path:
    """The frame's own file or, if it has none, the one that it shares with its twin."""
    own = _beside(stem, suffix)
    if not own.is_file() and stem.name.endswith(TWINS):
        both = _beside(stem.with_name(stem.name[:-4]), suffix)
        return both if both.is_file() else own
    return own


def _read_grey(path: Path, frame: Frame) -> NDArray[np.uint8]:
    grey = read_grey(path)
    if grey.shape != frame.color.shape[:2]:
        raise InputError(f'{path}: is {grey.shape}, the image is {frame.color.shape[:2]}')
    return grey
