# SPDX-License-Identifier: Apache-2.0
"""`pourit segment`: images, folders or videos to masks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from ..files import result_folder
from .errors import CommandError
from .options import Device, DeviceOption, Out, Threads, Weights
from .progress import track

IMAGES = {'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'}
VIDEOS = {'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v'}


def segment(
    inputs: Annotated[
        list[Path], typer.Argument(metavar='IN...', help='Images, folders, videos.')
    ],
    out: Out,
    weights: Weights = 'default',
    device: DeviceOption = Device.auto,
    threads: Threads = None,
) -> None:
    """Segment the liquid stream in pictures.

    Writes <stem>_mask.png (0/255), <stem>_cam.png (activation 0..255) and presence.csv
    (stem,probability,present). Frames of a video get stems <video>_<index>.

    Example: pourit segment frames/ pour.mp4 --out masks
    """
    files = list(_files(inputs))
    _check_stems(files)
    from ..perception import Segmenter

    segmenter = Segmenter.load(weights, device.kind, threads)
    total = sum(_frame_count(f) if f.suffix.lower() in VIDEOS else 1 for f in files)
    present = 0
    with result_folder(out) as folder, (folder / 'presence.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['stem', 'probability', 'present'])
        count = 0
        for stem, rgb in track(_pictures(files), 'segment', total):
            result = segmenter.segment(rgb)
            _write(folder / f'{stem}_mask.png', result.mask.astype(np.uint8) * 255)
            _write(folder / f'{stem}_cam.png', np.round(result.cam * 255).astype(np.uint8))
            table.writerow([stem, f'{result.probability:.6f}', int(result.present)])
            present += result.present
            count += 1
    typer.echo(f'{count} pictures, liquid in {present}: {out}')


def _files(inputs: list[Path]) -> Iterator[Path]:
    for path in inputs:
        if path.is_dir():
            found = [f for f in sorted(path.iterdir()) if f.suffix.lower() in IMAGES | VIDEOS]
            if not found:
                raise CommandError(f'{path}: holds no image or video')
            yield from found
        elif not path.exists():
            raise CommandError(f'{path}: no such file or folder')
        elif path.suffix.lower() not in IMAGES | VIDEOS:
            raise CommandError(f'{path}: is neither an image nor a video by its name')
        else:
            yield path


def _check_stems(files: list[Path]) -> None:
    """Results are named by stem, so two inputs of one stem would overwrite each other."""
    seen: dict[str, Path] = {}
    for file in files:
        other = seen.setdefault(file.stem, file)
        if other is not file:
            raise CommandError(f'{other} and {file} would both write {file.stem}_mask.png')


def _pictures(files: list[Path]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for file in files:
        if file.suffix.lower() in VIDEOS:
            yield from _video_frames(file)
        else:
            yield file.stem, read_rgb(file)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB; raises CommandError when it is none."""
    data = np.fromfile(path, np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise CommandError(f'{path}: cannot be read as an image')
    return np.ascontiguousarray(bgr[..., ::-1])


def _video_frames(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    capture = cv2.VideoCapture(str(path))
    try:
        index = 0
        while True:
            good, bgr = capture.read()
            if not good:
                break
            yield f'{path.stem}_{index:06d}', np.ascontiguousarray(bgr[..., ::-1])
            index += 1
    finally:
        capture.release()
    if index == 0:
        raise CommandError(f'{path}: cannot be read as a video')


def _frame_count(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    try:
        return max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 1)
    finally:
        capture.release()


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), image):
        raise CommandError(f'{path}: cannot be written')
