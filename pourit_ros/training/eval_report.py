# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about an evaluation: scores, curves, breakdowns, images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ..report.account import Account
from ..report.explain_page import methods_section
from ..report.page import account_section, definitions, header, jpeg, pictures, table, write_page
from .eval_curves import eval_curves
from .eval_pictures import MASK, TRUTH, choose_pictures, draw_case
from .evaluate import Case, Segments

_DEFINITIONS = (
    (
        'IoU',
        'Pixels in both masks over pixels in either, per image; 0 where liquid was missed. Over '
        'all pixels: the sum of the former over the sum of the latter, so large streams count '
        'more. '
        'The curves use masks whatever the probability.',
    ),
    (
        'Tip error',
        'Distance between the lower ends of mask and truth: last row, mean column of the last '
        'three. Only where both have a mask.',
    ),
    (
        'AUROC',
        'Share of all pairs of an image with and an image without liquid in which the former '
        'has the higher probability.',
    ),
    (
        'Precision, recall, false alarms',
        'At the threshold that came with the weights: share of detections that are liquid, '
        'share of '
        'wet images detected, share of dry images with a detection.',
    ),
    (
        'Calibration error',
        'Mean gap between stated probability and observed share, over ten bins of probability, '
        'weighted by their number of images.',
    ),
    (
        'Stream width',
        'Median along the medial axis of the true stream, px of the image.',
    ),
)

_STYLE = """
.charts > * { min-width: 0; }
.charts { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr));
  gap: 22px 36px; }
.tables th, .tables td { padding: 6px 8px 6px 0; }
"""

_SCRIPT = """
function draw(figures) {
  for (const [name, figure] of Object.entries(figures))
    Plotly.react(name, figure.data, figure.layout, {...options, displayModeBar: false});
}
drawAll(false);
addEventListener('beforeprint', () => drawAll(true));
addEventListener('afterprint', () => drawAll(false));
"""


@dataclass(frozen=True, eq=False)
class Scored:
    """One of the weights on a set: `scores` as of `summarise`, with the run's setting."""

    name: str
    scores: Mapping[str, Any]
    cases: Sequence[Case]
    segmenter: Segments


def write_eval_report(path: Path, scored: Sequence[Scored], account: Account) -> None:
    """Write the page; it needs no network and no other file.

    `scored`: of one weights or several, side by side on the same set; their scores with set,
    layout, weights, presence_threshold and mask_threshold. Pictures, breakdowns and calibration
    are given for each. `account`: of the run. Raises InputError.
    """
    figures = eval_curves([(one.name, one.scores, one.cases) for one in scored])
    plots = ''.join(
        f'<div id="{name}" role="img" aria-label="{figure["layout"]["title"]["text"]}"></div>'
        for name, figure in figures.items()
    )
    first = scored[0].scores
    title = f'Evaluation of {" and ".join(one.name for one in scored)} on {first["set"]}'
    facts = {'layout': first['layout']}
    for one in scored:
        of = f' of {one.name}' if len(scored) > 1 else ''
        facts[f'presence threshold{of}'] = f'{one.scores["presence_threshold"]:.3f}'
        facts[f'mask threshold{of}'] = f'{one.scores["mask_threshold"]:.2f}'
    sections = [
        header(title, facts, _cards(first) if len(scored) == 1 else []),
        _side_by_side(scored),
        account_section(account),
        f'<section><h2>Curves</h2><p class="note">Diamonds: at the threshold that came with the '
        f'weights. Rings: a bin of a single image, which says little.</p>'
        f'<div class="charts">{plots}</div>'
        '<noscript>The curves need JavaScript.</noscript></section>',
    ]
    for one in scored:
        of = f', {escape(one.name)}' if len(scored) > 1 else ''
        sections += [
            _groups(one.scores['groups'], of),
            _clutter(one.scores['clutter'], of),
            _calibration(one.scores['calibration']['bins'], of),
            _methods(one.scores.get('methods'), of),
            *(
                _pictures(f'{name}{of}', note, chosen, one.segmenter)
                for name, note, chosen in choose_pictures(one.cases)
            ),
        ]
    sections.append(definitions(_DEFINITIONS))
    write_page(path, title, sections, figures, _SCRIPT, _STYLE)


def _side_by_side(scored: Sequence[Scored]) -> str:
    """The cards of several weights as one table."""
    if len(scored) == 1:
        return ''
    cards = [{name: value for name, value, _ in _cards(one.scores)} for one in scored]
    names = list(dict.fromkeys(name for of in cards for name in of))
    rows = [(name, *(of.get(name, '–') for of in cards)) for name in names]
    body = table('Scores', ('', *(one.name for one in scored)), rows)
    return f'<section><h2>Side by side</h2>{body}</section>'


def _pictures(name: str, note: str, cases: Sequence[Case], segmenter: Segments) -> str:
    if not cases:
        return ''
    drawn = ((_caption(case), jpeg(draw_case(case, segmenter))) for case in cases)
    key = ', '.join(
        f'<span class="swatch" style="background:rgb{colour}"></span> {name}'
        for name, colour in (('truth', TRUTH), ('mask', MASK))
    )
    return (
        f'<section><h2>{name}</h2><p class="note">{escape(note)} Right: enlarged, {key}.</p>'
        f'{pictures(drawn)}</section>'
    )


def _caption(case: Case) -> str:
    parts = [case.item.stem, f'p {case.probability:.3f}']
    if case.score is not None:
        parts.append(f'IoU {case.score.iou:.2f}')
        if case.score.tip_error is not None:
            parts.append(f'tip {case.score.tip_error:.0f} px')
    return ', '.join([*parts, *case.groups.values(), *(case.item.props or ())])


def _cards(scores: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    iou, tips, presence = scores['iou'], scores['tip_error_px'], scores['presence']
    cards = [('Pictures', str(scores['images']), f'{scores["wet"]} wet, {scores["dry"]} dry')]
    if iou is not None:
        cards += [
            ('Mean IoU', _number(iou['mean']), f'median {iou["median"]:.3f}'),
            ('IoU of all pixels', _number(iou['dataset']), f'{iou["images"]} images'),
            ('IoU at least 0.5', _per_cent(iou['share_at_least_half']), 'of the images'),
        ]
    if tips is not None:
        cards.append(
            ('Median tip error', f'{tips["median"]:.1f} px', f'95 % below {tips["p95"]:.1f} px')
        )
    cards += [
        ('AUROC', _number(presence['auroc'], 4), 'of presence'),
        ('Recall', _per_cent(presence['recall']), f'precision {_per_cent(presence["precision"])}'),
        ('False alarms', _per_cent(presence['false_alarms']), 'of the dry images'),
        ('Calibration error', _number(scores['calibration']['ece']), 'of the probability'),
    ]
    return cards


def _methods(scores: Mapping[str, Mapping[str, Any]] | None, of: str) -> str:
    if not scores:
        return ''
    from ..perception.explain import METHODS

    titles = {name: METHODS[name].title for name in scores}
    return methods_section(scores, titles, f'Class activation methods{of}')


def _number(value: float | None, digits: int = 3) -> str:
    return '–' if value is None else f'{value:.{digits}f}'


def _per_cent(share: float | None) -> str:
    return '–' if share is None else f'{100 * share:.1f} %'


def _groups(groups: Mapping[str, Sequence[Mapping[str, Any]]], of: str) -> str:
    if not groups:
        return ''
    heads = ('', 'wet', 'IoU', 'median', 'recall', 'dry', 'alarms', 'AUROC')
    tables = ''.join(
        table(
            f'By {name}',
            heads,
            [
                (
                    row['value'],
                    row['wet'],
                    *(_number(None if row['iou'] is None else row['iou'][key])
                      for key in ('mean', 'median')),
                    _per_cent(row['recall']),
                    row['dry'],
                    _per_cent(row['false_alarms']),
                    _number(row['auroc'], 4),
                )
                for row in rows
            ],
        )
        for name, rows in groups.items()
    )  # fmt: skip
    return (
        f'<section><h2>Breakdown{of}</h2><p class="note">IoU: mean and median of the '
        'images with a true mask. Alarms: dry images in which liquid was found.</p>'
        f'<div class="tables">{tables}</div></section>'
    )


def _clutter(rows: Sequence[Mapping[str, Any]] | None, of: str) -> str:
    if rows is None:
        return ''
    body = table(
        'Dry images by what stands in them',
        ('', 'dry', 'alarms', 'AUROC'),
        [
            (r['value'], r['dry'], _per_cent(r['false_alarms']), _number(r['auroc'], 4))
            for r in rows
        ],
    )
    return (
        f'<section><h2>Household clutter{of}</h2><p class="note">AUROC: these against all wet '
        f'images. An image counts once for each thing in it.</p><div class="tables">{body}</div>'
        '</section>'
    )


def _calibration(bins: Sequence[Mapping[str, Any]], of: str) -> str:
    body = table(
        'Images by stated probability',
        ('', 'images', 'mean', 'with liquid'),
        [
            (
                f'{r["low"]:.1f} to {r["high"]:.1f}',
                r['count'],
                _number(r['probability']),
                _per_cent(r['observed']),
            )
            for r in bins
        ],
    )
    return f'<section><h2>Calibration{of}</h2><div class="tables">{body}</div></section>'
