# SPDX-License-Identifier: Apache-2.0
"""Pictures to train on: rendered pairs, and folders with image labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..labels_csv import LABELS, read_labels

Picture = NDArray[np.uint8]
META = '_meta.json'


class DataError(InputError):
    """A folder holds nothing to train on, or something of it cannot be read."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture, or one with liquid and its dry twin.

    `picture` (H, W, 3) uint8 RGB; `liquid`: its label; `twin`: the same scene and camera without
    liquid, same shape, or None; `coverage` (H, W) 0..255 of the stream where it is known.
    """

    picture: Picture
    liquid: bool
    twin: Picture | None = None
    coverage: Picture | None = None


class DataSet(Protocol):
    """Samples by number, read when they are asked for."""

    @property
    def folder(self) -> Path:
        """Where it lies."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether samples with liquid come with their coverage."""
        ...

    @property
    def has_both(self) -> bool:
        """Whether there are pictures with and without liquid."""
        ...

    def __len__(self) -> int:
        """Count the samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Read a sample; raises DataError."""
        ...

    def files(self) -> Iterator[Path]:
        """All that samples are read from."""
        ...


class RenderedPairs:
    """What `pourit synth` made: every scene with and without its stream."""

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
        wet, dry, mask = self._files(self.stems[index])
        coverage = _read(mask, cv2.IMREAD_GRAYSCALE)
        return Sample(_rgb(wet), True, _rgb(dry), coverage)

    def files(self) -> Iterator[Path]:
        """All that pairs are read from."""
        for stem in self.stems:
            yield from self._files(stem)

    def _files(self, stem: str) -> tuple[Path, Path, Path]:
        wet, dry, mask = (
            self.folder / f'{stem}{suffix}'
            for suffix in ('_pos_rgb.jpg', '_neg_rgb.jpg', '_mask_visible.png')
        )
        return wet, dry, mask


class LabelledFolder:
    """What `pourit collect` wrote: pictures with image labels, some paired with a dry twin."""

    has_masks = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = read_labels(folder)
        self.has_both = {frame.liquid for frame in self.frames} == {True, False}

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        """Read a picture and its twin."""
        frame = self.frames[index]
        picture = _rgb(self.folder / frame.file)
        if frame.twin is None:
            return Sample(picture, frame.liquid)
        twin = _rgb(self.folder / frame.twin)
        if twin.shape != picture.shape:
            raise DataError(
                f'{self.folder / frame.file}: its twin {frame.twin} has another size; a twin is '
                'a picture of the same camera'
            )
        return Sample(picture, frame.liquid, twin)

    def files(self) -> Iterator[Path]:
        """All that samples are read from."""
        yield self.folder / LABELS
        for frame in self.frames:
            yield self.folder / frame.file


def open_data(folder: Path) -> DataSet:
    """Find out what a folder holds; raises DataError."""
    if not folder.is_dir():
        raise DataError(f'{folder}: no such folder')
    found: DataSet = (
        LabelledFolder(folder) if (folder / LABELS).exists() else RenderedPairs(folder)
    )
    if not len(found):
        raise DataError(
            f'{folder}: holds neither pairs of pourit synth nor {LABELS} of pourit collect'
        )
    return found


def fingerprint(data: DataSet) -> str:
    """Hash of names and contents of all files of a data set, so that a run can name its data."""
    digest = hashlib.blake2b(digest_size=16)
    for file in data.files():
        digest.update(str(file.relative_to(data.folder)).encode())
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise DataError(f'{file}: {error.strerror or error}') from None
    return digest.hexdigest()


def _rgb(path: Path) -> Picture:
    return np.ascontiguousarray(_read(path, cv2.IMREAD_COLOR)[..., ::-1])


def _read(path: Path, how: int) -> Picture:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from None
    picture = cv2.imdecode(data, how) if data.size else None
    if picture is None:
        raise DataError(f'{path}: cannot be read as an image')
    return np.asarray(picture, np.uint8)
