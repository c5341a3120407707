# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files of folders are images and videos, and the frames of a video."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

IMAGES = frozenset({'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'})
VIDEOS = frozenset({'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v'})
# Images that people have and that cannot be read here; they are counted, so that nobody waits
# for them.
UNREAD = frozenset(
    ('.heic', '.heif', '.gif', '.avif', '.jxl', '.jp2', '.dng', '.cr2', '.cr3', '.nef', '.arw')
    + ('.raw', '.exr', '.hdr', '.svg', '.psd')
)
# What stands beside `<stem>_rgb.*` in a scene folder and is no photograph.
SCENE_PARTS = (
    '_depth', '_depth_true', '_mask', '_mask_air', '_mask_through_glass', '_cam', '_instances',
)  # fmt: skip
FRAME_DIGITS = 6
# A container's number of frames is often worked out from its duration.
COUNT_SLACK = 2


@dataclass(frozen=True)
class Media:
    """An image or a video; `stem`: name of its results, relative to their folder."""

    path: Path
    stem: str

    @property
    def is_video(self) -> bool:
        """Whether it is a video, judging by its name."""
        return self.path.suffix.lower() in VIDEOS


@dataclass
class Found:
    """What the inputs contain; `skipped`: number of files skipped, by cause."""

    media: list[Media] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def find_media(inputs: Iterable[Path], recursive: bool = False) -> Found:
    """Find the images and videos of files and folders, in order of the names.

    In a folder, hidden files, subfolders (unless `recursive`) and the depth images and masks of
    scenes are skipped. Raises InputError when an input is missing or empty, or when the results of
    two would have the same name.
    """
    found = Found()
    for path in inputs:
        if path.is_dir():
            before = len(found.media)
            _search(path, path, recursive, found)
            if len(found.media) == before:
                counts = ', '.join(f'{n} {cause}' for cause, n in found.skipped.items())
                raise InputError(
                    f'{path}: holds no image or video'
                    + (f' (skipped: {counts})' if counts else '')
                )
        elif not path.exists():
            raise InputError(f'{path}: no such file or folder')
        elif path.suffix.lower() not in IMAGES | VIDEOS:
            raise InputError(f'{path}: is neither an image nor a video by its name')
        else:
            found.media.append(Media(path, path.stem))
    _check_stems(found.media)
    for media in found.media:
        pages = _pages(media.path)
        if pages > 1:
            found.skipped['further pages of TIFF files'] += pages - 1
    return found


def _search(root: Path, folder: Path, recursive: bool, found: Found) -> None:
    names = {path.name for path in folder.iterdir()}
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if path.name.startswith('.'):
            if suffix in IMAGES | VIDEOS:
                found.skipped['hidden files (._* of macOS, ...)'] += 1
        elif path.is_dir():
            if recursive:
                _search(root, path, recursive, found)
            else:
                found.skipped['subfolders, which --recursive enters'] += 1
        elif suffix in UNREAD:
            found.skipped[f'{suffix} files, which cannot be read'] += 1
        elif suffix in IMAGES and _is_scene_part(path, names):
            found.skipped['depth images and masks of scenes'] += 1
        elif suffix in IMAGES | VIDEOS:
            found.media.append(Media(path, str(path.relative_to(root).with_suffix(''))))


def _is_scene_part(path: Path, names: set[str]) -> bool:
    """Whether the file belongs to a colour image of PourIt!'s layout."""
    for part in SCENE_PARTS:
        if path.stem.endswith(part):
            stem = path.stem.removesuffix(part)
            scenes = (stem, f'{stem}_pos', f'{stem}_neg')
            if any(f'{s}_rgb{suffix}' in names for s in scenes for suffix in ('.png', '.jpg')):
                return True
    return False


def _check_stems(media: list[Media]) -> None:
    seen: dict[str, Media] = {}
    for item in media:
        other = seen.setdefault(item.stem, item)
        if other is not item:
            raise InputError(
                f'{other.path} and {item.path} would both write {item.stem}_mask.png: rename one, '
                'or give them in two runs'
            )
    videos = {item.stem: item for item in media if item.is_video}
    for item in media:
        match = re.fullmatch(rf'(.*)_\d{{{FRAME_DIGITS},}}', item.stem, re.DOTALL)
        video = videos.get(match[1]) if match else None
        if video is not None:
            raise InputError(
                f'{item.path} is named like a frame of {video.path}, and both would write '
                f'{item.stem}_mask.png: give them in two runs'
            )


def _pages(path: Path) -> int:
    """How many pages a file has; 1 where that is unknown."""
    if path.suffix.lower() not in ('.tif', '.tiff'):
        return 1
    import tifffile

    try:
        with path.open('rb') as file, tifffile.TiffFile(file) as tiff:
            return len(tiff.pages)
    except Exception:
        # Reading the image will say what is wrong with it.
        return 1


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    """Open a video; through a link where its name is not UTF-8, which crashes OpenCV."""
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.abspath(path)
        if not name.isprintable():
            link = Path(folder) / f'video{path.suffix}'
            link.symlink_to(name)
            name = str(link)
        capture = cv2.VideoCapture(name)
        try:
            yield capture
        finally:
            capture.release()


def frame_count(path: Path) -> int:
    """How many frames a video claims to have; 0 where it does not say."""
    with _opened(path) as capture:
        return max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)


def frame_rate(path: Path) -> float:
    """Frames per second that a video claims; 25 where that makes no sense."""
    with _opened(path) as capture:
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if 0.1 <= rate <= 1000 else 25.0


def missing_frames(said: int, read: int) -> int:
    """How many frames of a video could not be read; small differences are rounding."""
    missing = said - read
    return missing if missing > max(COUNT_SLACK, said // 100) else 0


def video_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Iterate over the frames of a video, (H, W, 3) uint8 RGB, as far as they can be read."""
    with _opened(path) as capture:
        while True:
            good, bgr = capture.read()
            if not good:
                return
            yield np.ascontiguousarray(bgr[..., ::-1])
