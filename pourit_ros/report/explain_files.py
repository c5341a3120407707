# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Output of `pourit explain`: maps, their scores, the picture, the page and the account."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import result_folder
from ..formats.images import read_grey, read_image, write_image
from ..formats.media import Found, Media
from .account import Account
from .explain_page import write_explain_page
from .heat import MOST_ROWS, map_row

if TYPE_CHECKING:
    from ..perception.explain.explainer import Explainer
    from ..perception.explain.verdicts import Verdict

_COLUMNS = (
    'stem', 'method', 'probability', 'iou', 'best_iou', 'pointed', 'deletion', 'insertion', 'drop',
    'increase', 'ms',
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Explained:
    """One image with the verdicts on all methods, and its row of maps."""

    stem: str
    probability: float
    present: bool
    verdicts: tuple[Verdict, ...]
    picture: NDArray[np.uint8]


def find_masks(folder: Path, stems: Iterable[str]) -> dict[str, Path]:
    """The true mask of each stem that has one: <stem>.png or <stem>_mask.png.

    Raises InputError if none has.
    """
    found: dict[str, Path] = {}
    for stem in stems:
        for path in (folder / f'{stem}.png', folder / f'{stem}_mask.png'):
            if path.is_file():
                found.setdefault(stem, path)
    if not found:
        raise InputError(
            f'{folder}: holds no mask of the images; their names are <stem>.png or <stem>_mask.png'
        )
    return found


def write_explained(
    explainer: Explainer,
    found: Found,
    truths: Mapping[str, Path],
    methods: Sequence[str],
    steps: int,
    out: Path,
    inputs: Sequence[str | Path],
    weights: str,
    overwrite: bool = False,
    progress: Callable[[Iterable[Media]], Iterable[Media]] = iter,
) -> tuple[Account, dict[str, dict[str, Any]], list[str]]:
    """Explain all images found and write the results into `out`.

    `truths`: files of true masks by stem; `steps`: see `judge`. Returns the account, the scores
    by method and one line per unreadable image. Raises InputError; then, and on Ctrl-C, `out` is
    as it was.
    """
    from ..perception.explain import METHODS
    from ..perception.explain.verdicts import sum_up

    account = Account(
        'explain', len(found.media), what='images', done='explained', skipped=found.skipped,
        facts={'weights': weights, 'methods': list(methods)},
    )  # fmt: skip
    titles = {name: METHODS[name].title for name in methods}
    failed: list[str] = []
    with result_folder(out, 'explain', inputs, overwrite) as folder:
        done = list(
            _explain(explainer, progress(found.media), truths, titles, steps, folder, failed)
        )
        account.answered, account.liquid = len(done), sum(one.present for one in done)
        account.settle('image that cannot be read')
        scores = {
            name: sum_up([v for one in done for v in one.verdicts if v.method == name])
            for name in methods
        }
        account.write(folder)
        (folder / 'scores.json').write_text(json.dumps(scores, indent=2) + '\n')
        _write_table(folder / 'maps.csv', done)
        if done:
            rows = [one.picture for one in done[:MOST_ROWS]]
            write_image(folder / 'maps.jpg', np.concatenate(rows))
        facts = {'weights': weights, 'images': len(done), 'input size': _size(explainer)}
        pictures = [(_caption(one), one.picture) for one in done]
        write_explain_page(
            folder / 'report.html', facts, scores, titles, pictures, account,
        )  # fmt: skip
    return account, scores, failed


def _explain(
    explainer: Explainer,
    media: Iterable[Media],
    truths: Mapping[str, Path],
    titles: Mapping[str, str],
    steps: int,
    folder: Path,
    failed: list[str],
) -> Iterator[Explained]:
    from ..perception.explain.judge import judge

    for item in media:
        try:
            rgb = read_image(item.path)
            truth = _read_mask(truths.get(item.stem), rgb.shape[:2])
        except (InputError, OSError) as error:
            failed.append(str(error))
            continue
        size = rgb.shape[:2]
        image = explainer.view(rgb)
        probability = float(explainer.probability(image))
        present = probability > explainer.metadata.presence_threshold
        maps, verdicts = {}, []
        for name in titles:
            maps[name], verdict = judge(explainer, name, image, size, truth, present, steps)
            verdicts.append(verdict)
            path = folder / f'{item.stem}_{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, np.round(255 * maps[name]).astype(np.uint8))
        captions = [f'{item.stem}, p {probability:.2f}', *map(_tile, verdicts, titles.values())]
        yield Explained(
            item.stem, probability, present, tuple(verdicts), map_row(rgb, maps, truth, captions)
        )


def _read_mask(path: Path | None, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    if path is None:
        return None
    mask = read_grey(path) >= 128
    if mask.shape != size:
        raise InputError(f'{path}: mask is {mask.shape}, but its image is {size}')
    return mask


def _tile(verdict: Verdict, title: str) -> str:
    return title if verdict.ious is None else f'{title}, IoU {verdict.ious.max():.2f}'


def _caption(one: Explained) -> str:
    return f'{one.stem}, p {one.probability:.3f}'


def _size(explainer: Explainer) -> str:
    return f'{explainer.metadata.input_size} px'


def _write_table(path: Path, done: Iterable[Explained]) -> None:
    with path.open('w', newline='', encoding='utf-8', errors='backslashreplace') as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for one in done:
            for v in one.verdicts:
                cells = [
                    *((None, None) if v.ious is None else (v.ious[9], v.ious.max())),
                    v.pointed, v.deletion, v.insertion, v.drop, v.increase, 1000 * v.seconds,
                ]  # fmt: skip
                table.writerow([one.stem, v.method, f'{one.probability:.6f}', *map(_cell, cells)])


def _cell(value: float | bool | None) -> str:
    if value is None:
        return ''
    return str(int(value)) if isinstance(value, bool) else f'{value:.4f}'
