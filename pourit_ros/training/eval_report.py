# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about an evaluation: scores, curves, breakdowns, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..report.page import definitions, header, jpeg, pictures, write_page
from .eval_curves import eval_curves
from .eval_pictures import MASK, TRUTH, choose_pictures, draw_case
from .evaluate import Case, Segments

_DEFINITIONS = (
    (
        'IoU',
        'Pixels in both masks over pixels in either, by picture; 0 where liquid was not found. '
        'Of all pixels: sum of the former over sum of the latter, so large streams count more. '
        'The curves are of masks whatever the probability.',
    ),
    (
        'Tip error',
        'Distance between the lower ends of mask and truth: last row, mean column of the last '
        'three. Only where there is a mask.',
    ),
    (
        'AUROC',
        'Share of pairs of one picture with and one without liquid in which the former has the '
        'higher probability.',
    ),
    (
        'Precision, recall, false alarms',
        'At the threshold that came with the weights: share of found that is liquid, share of '
        'liquid that is found, share of dry pictures in which liquid is found.',
    ),
    (
        'Calibration error',
        'Mean gap between stated probability and observed share, over ten bins of probability '
        'weighted by their pictures.',
    ),
    (
        'Stream width',
        'Median along the medial axis of the true stream, px of the picture.',
    ),
)

_STYLE = """
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 12px; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr));
  gap: 22px 36px; }
h3 { font-size: 15px; margin: 0 0 4px; }
.tables th, .tables td { padding: 6px 8px 6px 0; }
.tables td:first-child { white-space: nowrap; }
"""

_SCRIPT = """
const figures = JSON.parse(document.getElementById('figures').textContent);
for (const [name, figure] of Object.entries(figures))
  Plotly.newPlot(name, figure.data, figure.layout, {responsive: true, displayModeBar: false});
"""


def write_eval_report(
    path: Path, scores: Mapping[str, Any], cases: Sequence[Case], segmenter: Segments
) -> None:
    """Write the page; it needs no network and no other file.

    `scores`: of `summarise`, with set, layout, weights, presence_threshold and mask_threshold.
    `segmenter` draws the chosen pictures once more. Raises ReportError.
    """
    figures = eval_curves(scores, cases)
    plots = ''.join(f'<div id="{name}"></div>' for name in figures)
    title = f'Evaluation of {scores["weights"]} on {scores["set"]}'
    facts = {
        'layout': scores['layout'],
        'presence threshold': f'{scores["presence_threshold"]:.3f}',
        'mask threshold': f'{scores["mask_threshold"]:.2f}',
    }
    sections = [
        header(title, facts, _cards(scores)),
        f'<section><h2>Curves</h2><div class="charts">{plots}</div>'
        '<noscript>The curves need JavaScript.</noscript></section>',
        _groups(scores['groups']),
        _clutter(scores['clutter']),
        _calibration(scores['calibration']['bins']),
        *(
            _pictures(name, note, chosen, segmenter)
            for name, note, chosen in choose_pictures(cases)
        ),
        definitions(_DEFINITIONS),
    ]
    write_page(path, title, sections, figures, _SCRIPT, _STYLE)


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
            ('IoU of all pixels', _number(iou['dataset']), f'{iou["images"]} pictures'),
            ('IoU at least 0.5', _per_cent(iou['share_at_least_half']), 'of the pictures'),
        ]
    if tips is not None:
        cards.append(
            ('Median tip error', f'{tips["median"]:.1f} px', f'95 % below {tips["p95"]:.1f} px')
        )
    cards += [
        ('AUROC', _number(presence['auroc'], 4), 'of presence'),
        ('Recall', _per_cent(presence['recall']), f'precision {_per_cent(presence["precision"])}'),
        ('False alarms', _per_cent(presence['false_alarms']), 'of the dry pictures'),
        ('Calibration error', _number(scores['calibration']['ece']), 'of the probability'),
    ]
    return cards


def _number(value: float | None, digits: int = 3) -> str:
    return '–' if value is None else f'{value:.{digits}f}'


def _per_cent(share: float | None) -> str:
    return '–' if share is None else f'{100 * share:.1f} %'


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = ''.join(
        f'<th{" class=count" if k else ""}>{escape(name)}</th>' for k, name in enumerate(heads)
    )
    lines = ''.join(
        '<tr>'
        + ''.join(
            f'<td{" class=count" if k else ""}>{escape(str(cell))}</td>'
            for k, cell in enumerate(row)
        )
        + '</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll"><h3>{escape(title)}</h3><table><thead><tr>{head}</tr></thead>'
        f'<tbody>{lines}</tbody></table></div>'
    )


def _groups(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    if not groups:
        return ''
    heads = ('', 'wet', 'IoU', 'median', 'recall', 'dry', 'alarms')
    tables = ''.join(
        _table(
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
                )
                for row in rows
            ],
        )
        for name, rows in groups.items()
    )  # fmt: skip
    return (
        '<section><h2>Breakdown</h2><p class="note">IoU: mean and median of the pictures with a '
        'true mask. Alarms: dry pictures in which liquid was found.</p>'
        f'<div class="tables">{tables}</div></section>'
    )


def _clutter(rows: Sequence[Mapping[str, Any]] | None) -> str:
    if rows is None:
        return ''
    table = _table(
        'Dry pictures by what stands in them',
        ('', 'dry', 'alarms', 'AUROC'),
        [
            (r['value'], r['dry'], _per_cent(r['false_alarms']), _number(r['auroc'], 4))
            for r in rows
        ],
    )
    return (
        '<section><h2>Household clutter</h2><p class="note">AUROC: these against all wet '
        f'pictures. A picture counts for everything in it.</p><div class="tables">{table}</div>'
        '</section>'
    )


def _calibration(bins: Sequence[Mapping[str, Any]]) -> str:
    table = _table(
        'Pictures by stated probability',
        ('', 'pictures', 'mean', 'with liquid'),
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
    return f'<section><h2>Calibration</h2><div class="tables">{table}</div></section>'
