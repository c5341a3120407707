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
from ..labels_csv import LABELS, read_labels

_META = '_meta.json'
# Fewer pixels of a rendered stream than this have no shape that an IoU could be about.
_MIN_PX = 12


class EvalError(InputError):
    """A folder that cannot be scored; one line that names the file."""


@dataclass(frozen=True)
class EvalItem:
    """One picture and what is true about it."""

    stem: str
    image: Path
    liquid: bool
    truth: Path | None = None
    """Mask or coverage of the stream, 0..255: from 128 on a pixel is liquid."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What the scores are broken down by: name of the property to its value."""
    props: tuple[str, ...] | None = None
    """Kinds of clutter in the picture; None where they are not known."""


@dataclass(frozen=True)
class EvalSet:
    """Pictures of one folder, in order of their stems within wet and dry ones."""

    kind: Literal['synthetic', 'masks', 'labelled']
    items: tuple[EvalItem, ...]
    min_px: int
    """Pixels that a true mask needs to count for the IoU."""


def load_eval_set(folder: Path) -> EvalSet:
    """Recognise a folder and list its pictures; no picture is opened.

    synthetic: `*_meta.json` of `pourit synth`, two pictures a pair. masks: `pos/*.jpg`,
    `neg/*.jpg` and `mask/*.png`, named as the positives; a positive may lack its mask. labelled:
    `labels.csv`, presence only. Raises EvalError and LabelsError.
    """
    if not folder.is_dir():
        raise EvalError(f'{folder}: no such folder')
    if any(folder.glob(f'*{_META}')):
        found = EvalSet('synthetic', tuple(_synthetic(folder)), _MIN_PX)
    elif (folder / 'pos').is_dir():
        found = EvalSet('masks', tuple(_with_masks(folder)), 1)
    elif (folder / LABELS).is_file():
        found = EvalSet('labelled', tuple(_labelled(folder)), 1)
    else:
        raise EvalError(
            f'{folder}: holds neither *{_META} (pourit synth), nor pos/ neg/ mask/, nor {LABELS} '
            '(pourit collect)'
        )
    if not found.items:
        raise EvalError(f'{folder}: lists no picture')
    # A long run must not end at its last picture.
    for item in found.items:
        for file in (item.image, item.truth):
            if file is not None and not file.is_file():
                raise EvalError(f'{file}: no such file')
    return found


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture as (H, W, 3) uint8 RGB. Raises EvalError."""
    return np.ascontiguousarray(_read(path, cv2.IMREAD_COLOR)[..., ::-1])


def read_truth(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Read a true mask, which has the (H, W) of its picture. Raises EvalError."""
    mask = _read(path, cv2.IMREAD_GRAYSCALE) >= 128
    if mask.shape != shape:
        raise EvalError(f'{path}: mask is {mask.shape}, its picture is {shape}')
    return mask


def _read(path: Path, flags: int) -> npt.NDArray[np.uint8]:
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise EvalError(f'{path}: cannot be read as an image')
    return np.asarray(image, np.uint8)


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
                    groups,
                    props,
                )
            )
    return items


def _read_meta(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    try:
        meta: Any = json.loads(path.read_text())
        groups = {
            'liquid name': meta['liquid']['name'],
            'source material': meta['source']['material'],
            'source': meta['source']['kind'],
            'target': meta['target']['kind'],
            'table': meta['table'] or 'plain',
            'room': meta['room'],
        }
        return groups, tuple(sorted(set(meta['props'])))
    except json.JSONDecodeError:
        raise EvalError(f'{path}: is no JSON') from None
    except (KeyError, TypeError) as error:
        raise EvalError(f'{path}: is not of this version of pourit synth: {error}') from None


def _with_masks(folder: Path) -> list[EvalItem]:
    masks = {path.stem: path for path in (folder / 'mask').glob('*.png')}
    items = []
    for name, liquid in (('pos', True), ('neg', False)):
        for path in sorted((folder / name).glob('*.jpg')):
            truth = masks.pop(path.stem, None) if liquid else None
            groups = {'prefix': path.stem.split('_')[0]}
            items.append(EvalItem(path.stem, path, liquid, truth, groups))
    if masks:
        raise EvalError(f'{min(masks.values())}: has no picture of its name in pos/')
    return items


def _labelled(folder: Path) -> list[EvalItem]:
    return [
        EvalItem(frame.file.with_suffix('').as_posix(), folder / frame.file, frame.liquid)
        for frame in read_labels(folder)
    ]
