# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The page of `pourit explain`: a table of methods, and every image's maps side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .account import Account
from .page import account_section, definitions, header, jpeg, pictures, table, write_page

DEFINITIONS = (
    (
        'Map',
        'Positive part of what a method returns, over its maximum in the image. White hot: '
        'maximum.',
    ),
    (
        'IoU',
        'Of the map, cut at half of its maximum, with the true mask; mean over images. Best IoU: '
        'with the one cut that is best for the method over all images.',
    ),
    (
        'Pointing',
        'Share of images in which the maximum of the map lies in the true mask, or within 1 % of '
        "the image's diagonal of it.",
    ),
    (
        'Deletion, insertion',
        'Area under the probability of liquid while pixels are greyed out, or put into a blurred '
        'image, the hottest first. Low deletion and high insertion speak for a map.',
    ),
    (
        'Drop, increase',
        'Share of the probability that is lost where the image is multiplied by its map; share of '
        'images in which it rises instead.',
    ),
    ('Time', "Median of one image's map with its own pass through the network."),
)
HEADS = (
    '', 'IoU', 'best IoU', 'cut', 'pointing', 'deletion', 'insertion', 'drop', 'increase', 'ms',
)  # fmt: skip
KEYS = (
    ('iou', 3), ('best_iou', 3), ('cut', 2), ('pointing', 2), ('deletion', 3), ('insertion', 3),
    ('drop', 3), ('increase', 2), ('ms', 0),
)  # fmt: skip


def method_rows(
    scores: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """A row a method, as under HEADS; '–' where nothing is known."""
    return [
        (titles[name], *(_number(of[key], digits) for key, digits in KEYS))
        for name, of in scores.items()
    ]


def methods_section(
    scores: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], caption: str
) -> str:
    """The table of methods."""
    first = next(iter(scores.values()))
    note = (
        f'IoU and pointing: {first["masks"]} images with a true mask. The rest: '
        f'{first["judged"]} images in which the network sees liquid.'
    )
    body = table(caption, HEADS, method_rows(scores, titles))
    return f'<section><h2>Methods</h2><p class="note">{note}</p>{body}</section>'


def write_explain_page(
    path: Path,
    facts: Mapping[str, object],
    scores: Mapping[str, Mapping[str, Any]],
    titles: Mapping[str, str],
    rows: Sequence[tuple[str, NDArray[np.uint8]]],
    account: Account,
) -> None:
    """Write the page; it needs no network and no other file.

    scores: by method, of `sum_up`. rows: caption and picture of each image's maps. Raises
    InputError.
    """
    title = f'What {facts["weights"]} looks at'
    drawn = pictures((caption, jpeg(picture)) for caption, picture in rows)
    sections = [
        header(title, facts, []),
        methods_section(scores, titles, 'Means over the images'),
        account_section(account),
        f'<section class="maps"><h2>Maps</h2>{drawn}</section>',
        definitions(DEFINITIONS),
    ]
    write_page(
        path, title, sections, {}, 'function draw(figures) {}',
        '.maps .frames { grid-template-columns: 1fr; }',
    )  # fmt: skip


def _number(value: float | None, digits: int) -> str:
    return '–' if value is None else f'{value:.{digits}f}'
