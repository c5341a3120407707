# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The three kinds of labelled folders that `pourit eval` scores, read into one form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..formats.images import read_grey
from ..formats.labels_csv import LABELS, read_labels
from .data_sets import counted

_META = '_meta.json'
# Fewer pixels of a rendered stream than this have no shape that an IoU could be about.
_MIN_PX = 12


@dataclass(frozen=True)
class EvalItem:
    """One image with its ground truth."""

    stem: str
    image: Path
    liquid: bool
    truth: Path | None = None
    """Mask or coverage of the stream, 0..255: from 128 on a pixel is liquid."""
    whole: Path | None = None
    """The same with what shows only through glass and counts neither way; None: nothing does."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What the scores are broken down by: name of the property to its value."""
    props: tuple[str, ...] | None = None
    """Kinds of clutter in the image; None where they are not known."""


@dataclass(frozen=True)
class EvalSet:
    """Images of one folder, in order of their stems within wet and dry ones."""

    kind: Literal['synthetic', 'masks', 'labelled']
    items: tuple[EvalItem, ...]
    min_px: int
    """Pixels that a true mask needs to count for the IoU."""


def load_eval_set(folder: Path) -> EvalSet:
    """Recognise a folder and list its images; no image is opened.

    synthetic: `*_meta.json` of `pourit synth`, two images per pair. masks: `pos/*.jpg`,
    `neg/*.jpg` and `mask/*.png`, named as the positives; a positive may lack its mask. labelled:
    `labels.csv`, presence only. Raises InputError.
    """
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    if any(folder.glob(f'*{_META}')):
        found = EvalSet('synthetic', tuple(_synthetic(folder)), _MIN_PX)
    elif (folder / 'pos').is_dir():
        found = EvalSet('masks', tuple(_with_masks(folder)), 1)
    elif (folder / LABELS).is_file():
        found = EvalSet('labelled', tuple(_labelled(folder)), 1)
    else:
        raise InputError(
            f'{folder}: holds neither *{_META} (pourit synth), nor pos/ neg/ mask/, nor {LABELS} '
            '(pourit collect)'
        )
    if not found.items:
        raise InputError(f'{folder}: lists no images')
    # A long run must not end at its last picture.
    for item in found.items:
        for file in (item.image, item.truth, item.whole):
            if file is not None and not file.is_file():
                raise InputError(f'{file}: no such file')
    return found


def read_truth(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Read a true mask, which has the (H, W) of its image. Raises InputError."""
    mask = read_grey(path) >= 128
    if mask.shape != shape:
        raise InputError(f'{path}: mask is {mask.shape}, but its image is {shape}')
    return mask


def read_counted(item: EvalItem, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Pixels (H, W) that count for the scores of an item with a `truth`. Raises InputError."""
    if item.whole is None or item.truth is None:
        return np.ones(shape, bool)
    whole, visible = read_grey(item.whole), read_grey(item.truth)
    if not whole.shape == visible.shape == shape:
        raise InputError(f'{item.whole}: mask is {whole.shape}, but its image is {shape}')
    return counted(visible, np.asarray(cv2.subtract(whole, visible), np.uint8))


def _synthetic(folder: Path) -> list[EvalItem]:
    items = []
    for path in sorted(folder.glob(f'*{_META}')):
        stem = path.name.removesuffix(_META)
        groups, props = _read_meta(path)
        for kind, liquid in (('pos', True), ('neg', False)):
            items.append(
                EvalItem(
                    f'{stem}_{kind}',
                    folder / f'{stem}_{kind}_rgb.jpg',
                    liquid,
                    folder / f'{stem}_mask_visible.png' if liquid else None,
                    folder / f'{stem}_mask_through_glass.png' if liquid else None,
                    groups,
                    props,
                )
            )
    return items


def _read_meta(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    try:
        meta: Any = json.loads(path.read_text())
        groups = {
            # Sets from before strata existed have none.
            'stratum': meta.get('stratum', 'general'),
            'liquid name': meta['liquid']['name'],
            'source material': meta['source']['material'],
            'source': meta['source']['kind'],
            'target': meta['target']['kind'],
            'table': meta['table'] or 'plain',
            'room': meta['room'],
        }
        return groups, tuple(sorted(set(meta['props'])))
    except json.JSONDecodeError:
        raise InputError(f'{path}: is not valid JSON') from None
    except (KeyError, TypeError) as error:
        raise InputError(f'{path}: is not of this version of pourit synth: {error}') from None


def _with_masks(folder: Path) -> list[EvalItem]:
    masks = {path.stem: path for path in (folder / 'mask').glob('*.png')}
    items = []
    for name, liquid in (('pos', True), ('neg', False)):
        for path in sorted((folder / name).glob('*.jpg')):
            truth = masks.pop(path.stem, None) if liquid else None
            groups = {'prefix': path.stem.split('_')[0]}
            items.append(EvalItem(path.stem, path, liquid, truth, groups=groups))
    if masks:
        raise InputError(f'{min(masks.values())}: has no image of that name in pos/')
    return items


def _labelled(folder: Path) -> list[EvalItem]:
    return [
        EvalItem(frame.file.with_suffix('').as_posix(), folder / frame.file, frame.liquid)
        for frame in read_labels(folder)
    ]
