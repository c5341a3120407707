# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Output of `pourit segment`: masks, CAMs, overlays, presence.csv and the account."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import result_folder
from ..formats.images import read_image, write_image
from ..formats.media import FRAME_DIGITS, Found, Media, frame_rate, missing_frames, video_frames
from .account import Account
from .overlay import overlay as draw_overlay
from .video import VideoWriter

if TYPE_CHECKING:
    from ..perception import Segmenter


class Named(NamedTuple):
    """An image (H, W, 3) uint8 RGB and the name of its results."""

    media: Media
    stem: str
    rgb: NDArray[np.uint8]


def write_segmented(
    segmenter: Segmenter,
    found: Found,
    counts: Mapping[Path, int],
    out: Path,
    inputs: Iterable[str | Path],
    overlay: bool | None = None,
    overwrite: bool = False,
    progress: Callable[[Iterable[Named]], Iterable[Named]] = iter,
) -> tuple[Account, list[str]]:
    """Segment all media found and write the results into `out`.

    `counts`: number of images expected from each path; `overlay`: None draws over videos only.
    Returns the account and one line per unreadable input. Raises InputError; then, and on Ctrl-C,
    `out` is as it was.
    """
    account = Account('segment', 0, what='images', done='segmented', skipped=found.skipped)
    failed: list[str] = []
    with result_folder(out, 'segment', inputs, overwrite) as folder, ExitStack() as stack:
        overlays = stack.enter_context(_Overlays(folder, overlay))
        file = stack.enter_context(
            (folder / 'presence.csv').open(
                'w', newline='', encoding='utf-8', errors='backslashreplace'
            )
        )
        table = csv.writer(file)
        table.writerow(['stem', 'probability', 'present'])
        for image in progress(_images(found.media, counts, account, failed)):
            result = segmenter.segment(image.rgb)
            (folder / image.stem).parent.mkdir(parents=True, exist_ok=True)
            write_image(folder / f'{image.stem}_mask.png', result.mask.astype(np.uint8) * 255)
            cam = np.round(result.cam * 255).astype(np.uint8)
            write_image(folder / f'{image.stem}_cam.png', cam)
            if overlays.wanted(image.media):
                overlays.add(image, draw_overlay(image.rgb, result))
            account.answered += 1
            account.liquid += result.present
            table.writerow([image.stem, f'{result.probability:.6f}', int(result.present)])
        stack.close()
        account.given = account.answered + account.lost.total()
        account.write(folder)
    return account, failed


class _Overlays:
    """Writes overlays: a JPEG per image, an MP4 per video, one video at a time."""

    def __init__(self, folder: Path, wanted: bool | None) -> None:
        self.folder = folder
        self.choice = wanted
        self.video: tuple[Media, VideoWriter] | None = None
        self.stack = ExitStack()

    def __enter__(self) -> _Overlays:
        return self

    def __exit__(self, *error: object) -> None:
        # The writer drops what is half-written when the block raises.
        self.stack.__exit__(*error)  # type: ignore[arg-type]

    def wanted(self, media: Media) -> bool:
        return media.is_video if self.choice is None else self.choice

    def add(self, image: Named, picture: NDArray[np.uint8]) -> None:
        if not image.media.is_video:
            write_image(self.folder / f'{image.stem}_overlay.jpg', picture)
            return
        if self.video is None or self.video[0] is not image.media:
            self.stack.close()
            path = self.folder / f'{image.media.stem}_overlay.mp4'
            height, width = picture.shape[:2]
            writer = VideoWriter(path, frame_rate(image.media.path), (width, height))
            self.video = image.media, self.stack.enter_context(writer)
        writer = self.video[1]
        if picture.shape[1::-1] != writer.size:
            # Some recordings change their size on the way; a file has one.
            picture = np.asarray(cv2.resize(picture, writer.size), np.uint8)
        writer.write(picture)


def _images(
    media: list[Media], counts: Mapping[Path, int], account: Account, failed: list[str]
) -> Iterator[Named]:
    """Yield what can be read; count the rest in `account` and `failed`."""
    for item in media:
        if item.is_video:
            yield from _frames(item, counts[item.path], account, failed)
            continue
        try:
            rgb = read_image(item.path)
        except (InputError, OSError) as error:
            account.lost['image that cannot be read'] += 1
            failed.append(str(error))
            continue
        yield Named(item, item.stem, rgb)


def _frames(item: Media, said: int, account: Account, failed: list[str]) -> Iterator[Named]:
    read = 0
    for read, rgb in enumerate(video_frames(item.path), 1):
        yield Named(item, f'{item.stem}_{read - 1:0{FRAME_DIGITS}d}', rgb)
    missing = missing_frames(said, read)
    if read == 0:
        account.lost['video that cannot be read'] += max(said, 1)
        failed.append(f'{item.path}: cannot be read as a video')
    elif missing:
        account.lost['frame missing because a video ends early'] += missing
        failed.append(f'{item.path}: {read} of {said} frames could be read')
