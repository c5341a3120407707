# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Images to train on: rendered pairs, and folders with image labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..formats.images import read_grey, read_image
from ..formats.labels_csv import LABELS, read_labels

Picture = NDArray[np.uint8]
META = '_meta.json'
# Share of a pixel or cell that shows only through glass; less is the soft edge of the visible
# stream.
GLASS = 0.05


@dataclass(frozen=True, eq=False)
class Sample:
    """An image, or a wet image with its dry twin.

    `picture` (H, W, 3) uint8 RGB; `liquid`: its label; `twin`: the same scene and camera without
    liquid, same shape, or None; `coverage` (H, W) 0..255 of the stream where it is known, and
    `through_glass` of what shows only through glass and counts neither way.
    """

    picture: Picture
    liquid: bool
    twin: Picture | None = None
    coverage: Picture | None = None
    through_glass: Picture | None = None


def counted(visible: Picture, through_glass: Picture) -> NDArray[np.bool_]:
    """Pixels (H, W) that count for scores: liquid, or without liquid that shows through glass.

    Both (H, W), coverage 0..255.
    """
    return np.asarray((visible >= 128) | (through_glass < 255 * GLASS))


class RenderedPairs:
    """Output of `pourit synth`: scenes with and without their stream, read on demand."""

    # Of samples with liquid; with and without liquid.
    has_masks = True
    has_both = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stems = sorted(f.name.removesuffix(META) for f in folder.glob(f'*{META}'))

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        """Read a pair."""
        wet, dry, mask, whole = self._files(self.stems[index])
        visible = read_grey(mask)
        through_glass = np.asarray(cv2.subtract(read_grey(whole), visible), np.uint8)
        return Sample(read_image(wet), True, read_image(dry), visible, through_glass)

    def files(self) -> Iterator[Path]:
        """All files that pairs are read from."""
        for stem in self.stems:
            yield from self._files(stem)

    def _files(self, stem: str) -> tuple[Path, Path, Path, Path]:
        pictures = f'{stem}_pos_rgb.jpg', f'{stem}_neg_rgb.jpg'
        masks = f'{stem}_mask_visible.png', f'{stem}_mask_through_glass.png'
        wet, dry, visible, whole = (self.folder / name for name in (*pictures, *masks))
        return wet, dry, visible, whole


class LabelledFolder:
    """Output of `pourit collect`: images with labels, some paired with a dry twin."""

    has_masks = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = read_labels(folder)
        self.has_both = {frame.liquid for frame in self.frames} == {True, False}

    def __len__(self) -> int:
        """Count the images."""
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        """Read an image and its twin."""
        frame = self.frames[index]
        picture = read_image(self.folder / frame.file)
        if frame.twin is None:
            return Sample(picture, frame.liquid)
        twin = read_image(self.folder / frame.twin)
        if twin.shape != picture.shape:
            raise InputError(
                f'{self.folder / frame.file}: its twin {frame.twin} has another size; '
                'twins must come from the same camera'
            )
        return Sample(picture, frame.liquid, twin)

    def files(self) -> Iterator[Path]:
        """All that samples are read from."""
        yield self.folder / LABELS
        for frame in self.frames:
            yield self.folder / frame.file


DataSet = RenderedPairs | LabelledFolder


def open_data(folder: Path) -> DataSet:
    """Open a folder of any of these kinds; raises InputError."""
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found: DataSet = (
        LabelledFolder(folder) if (folder / LABELS).exists() else RenderedPairs(folder)
    )
    if not len(found):
        raise InputError(
            f'{folder}: holds neither pairs of pourit synth nor {LABELS} of pourit collect'
        )
    return found


def fingerprint(data: DataSet) -> str:
    """Hash of names and contents of all files of a data set, to identify a run's data."""
    digest = hashlib.blake2b(digest_size=16)
    for file in data.files():
        digest.update(str(file.relative_to(data.folder)).encode())
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise InputError(f'{file}: {error.strerror or error}') from None
    return digest.hexdigest()
