# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about an evaluation: scores, curves, breakdowns, pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..files import replacing
from ..report import drawing as dr
from ..report.charts import AMBER, BLUE, GREEN, GREY, GRID, INK, RED, rounded
from ..report.errors import ReportError
from ..report.replay_report import STYLE
from .eval_sets import read_rgb, read_truth
from .evaluate import Case, Segments

_TRUTH, _MASK = dr.STREAM, dr.LIQUID
# Pictures of each kind, and the side of one panel, px.
_SHOWN = 6
_PANEL = 320

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
    from plotly.offline import get_plotlyjs

    figures = _figures(scores, cases)
    plots = ''.join(f'<div id="{name}"></div>' for name in figures)
    title = f'Evaluation of {scores["weights"]} on {scores["set"]}'
    body = '\n'.join(
        [
            f'<header><h1>{escape(title)}</h1>{_facts(scores)}{_cards(scores)}</header>',
            f'<section><h2>Curves</h2><div class="charts">{plots}</div>'
            '<noscript>The curves need JavaScript.</noscript></section>',
            _groups(scores['groups']),
            _clutter(scores['clutter']),
            _calibration(scores['calibration']['bins']),
            *(
                _pictures(name, note, chosen, segmenter)
                for name, note, chosen in choose_pictures(cases)
            ),
            _definitions(),
        ]
    )
    # JSON inside a script element must not hold the characters that would end it.
    data = json.dumps(figures, separators=(',', ':')).replace('<', '\\u003c')
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="figures">{data}</script>
<script>{_SCRIPT}</script>
</body>
</html>
"""
    with replacing(path) as partial:
        partial.write_text(page, encoding='utf-8')


def choose_pictures(cases: Sequence[Case]) -> list[tuple[str, str, list[Case]]]:
    """Pick what the page shows: (heading, note, cases), worst first but for the best.

    A missed stream is shown once, among the misses.
    """
    found = sorted(
        (case for case in cases if case.present and case.score is not None),
        key=lambda case: 0.0 if case.score is None else case.score.iou,
    )
    count = min(_SHOWN, len(found) // 3) or len(found)
    worst, rest = found[:count], found[count:]
    best, rest = rest[::-1][:count], rest[: max(len(rest) - count, 0)]
    middle = max((len(rest) - count) // 2, 0)
    by_probability = sorted(cases, key=lambda case: case.probability)
    misses = [case for case in by_probability if case.item.liquid and not case.present]
    alarms = [case for case in reversed(by_probability) if not case.item.liquid and case.present]
    return [
        ('Best masks', '', best),
        ('Median masks', '', rest[middle : middle + count]),
        ('Worst masks', 'Of those where liquid was found.', worst),
        ('Misses', f'{len(misses)} in all, surest first.', misses[:_SHOWN]),
        ('False alarms', f'{len(alarms)} in all, surest first.', alarms[:_SHOWN]),
    ]


def draw_case(case: Case, segmenter: Segments) -> npt.NDArray[np.uint8]:
    """Draw picture and, beside it, the part of it that matters with the outlines of both masks.

    Returns (320, 640, 3) uint8 RGB. Truth amber, mask blue. Raises EvalError.
    """
    rgb = read_rgb(case.item.image)
    mask = segmenter.segment(rgb).mask
    truth = np.zeros_like(mask)
    if case.item.truth is not None:
        truth = read_truth(case.item.truth, rgb.shape[:2])
    window = _window(mask | truth)
    left, _ = _fit(rgb)
    right, scale = _fit(rgb[window])
    for region, colour in ((truth, _TRUTH), (mask, _MASK)):
        _outline(right, region[window], scale, colour)
    return np.concatenate([left, right], axis=1)


def _window(region: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a square around the region, a quarter of the picture at least."""
    height, width = region.shape
    if not region.any():
        return slice(0, height), slice(0, width)
    v, u = np.nonzero(region)
    extent = max(np.ptp(v), np.ptp(u)) + 1
    side = int(min(max(1.3 * extent, min(height, width) / 4), max(height, width)))
    spans = []
    for at, length in ((v, height), (u, width)):
        start = int(np.clip((at.min() + at.max() + 1 - side) // 2, 0, max(length - side, 0)))
        spans.append(slice(start, min(start + side, length)))
    return spans[0], spans[1]


def _fit(rgb: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], float]:
    """Scale to a panel, centred on black; return it and the scale."""
    scale = _PANEL / max(rgb.shape[:2])
    height, width = (max(1, round(scale * side)) for side in rgb.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    panel = np.zeros((_PANEL, _PANEL, 3), np.uint8)
    panel[:height, :width] = cv2.resize(rgb, (width, height), interpolation=how)
    return panel, scale


def _outline(
    panel: npt.NDArray[np.uint8], region: npt.NDArray[np.bool_], scale: float, colour: dr.Colour
) -> None:
    height, width = (max(1, round(scale * side)) for side in region.shape)
    large = cv2.resize(region.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        dr.polyline(panel, contour[:, 0], colour, 2, closed=True, halo=False)


def _pictures(name: str, note: str, cases: Sequence[Case], segmenter: Segments) -> str:
    if not cases:
        return ''
    figures = ''.join(
        f'<figure><img src="data:image/jpeg;base64,{_jpeg(draw_case(case, segmenter))}" '
        f'alt="{escape(_caption(case))}"><figcaption>{escape(_caption(case))}</figcaption></figure>'
        for case in cases
    )
    key = ', '.join(
        f'<span class="swatch" style="background:rgb{colour}"></span> {name}'
        for name, colour in (('truth', _TRUTH), ('mask', _MASK))
    )
    return (
        f'<section><h2>{name}</h2><p class="note">{escape(note)} Right: enlarged, {key}.</p>'
        f'<div class="frames">{figures}</div></section>'
    )


def _caption(case: Case) -> str:
    parts = [case.item.stem, f'p {case.probability:.3f}']
    if case.score is not None:
        parts.append(f'IoU {case.score.iou:.2f}')
        if case.score.tip_error is not None:
            parts.append(f'tip {case.score.tip_error:.0f} px')
    return ', '.join([*parts, *case.groups.values(), *(case.item.props or ())])


def _jpeg(image: npt.NDArray[np.uint8]) -> str:
    ok, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not ok:
        raise ReportError(f'report: OpenCV could not encode a picture {image.shape}')
    return base64.b64encode(data.tobytes()).decode('ascii')


def _facts(scores: Mapping[str, Any]) -> str:
    facts = {
        'layout': scores['layout'],
        'presence threshold': f'{scores["presence_threshold"]:.3f}',
        'mask threshold': f'{scores["mask_threshold"]:.2f}',
    }
    entries = ''.join(
        f'<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>'
        for name, value in facts.items()
    )
    return f'<dl class="facts">{entries}</dl>'


def _cards(scores: Mapping[str, Any]) -> str:
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
    return '<div class="cards">' + ''.join(
        f'<div class="card"><span>{name}</span><b>{value}</b><span>{note}</span></div>'
        for name, value, note in cards
    ) + '</div>'  # fmt: skip


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


def _definitions() -> str:
    terms = ''.join(f'<div><dt>{name}</dt><dd>{text}</dd></div>' for name, text in _DEFINITIONS)
    return f'<section><h2>How the numbers are defined</h2><dl class="terms">{terms}</dl></section>'


def _figures(scores: Mapping[str, Any], cases: Sequence[Case]) -> dict[str, Any]:
    figures = {}
    curve = scores['curve']
    if curve is not None:
        layout = _layout('IoU', 'threshold on the CAM', 'IoU')
        layout['shapes'] = [_upright(scores['mask_threshold'])]
        figures['curve'] = {
            'data': [
                _line(curve['threshold'], curve['mean'], BLUE, 'mean'),
                _line(curve['threshold'], curve['dataset'], INK, 'all pixels'),
            ],
            'layout': layout,
        }
    bins = [row for row in scores['calibration']['bins'] if row['count']]
    stated = [row['probability'] for row in bins]
    reliable = _line(stated, [row['observed'] for row in bins], BLUE, 'observed')
    reliable |= {
        'mode': 'lines+markers',
        'text': [f'{row["count"]} pictures' for row in bins],
        'hovertemplate': '%{x:.3f}: %{y:.3f}<br>%{text}',
    }
    diagonal = _line([0, 1], [0, 1], GREY, 'calibrated')
    diagonal['line'] |= {'dash': 'dash', 'width': 1}
    figures['reliability'] = {
        'data': [diagonal, reliable],
        'layout': _layout('Calibration', 'stated probability', 'share with liquid'),
    }
    layout = _layout('Probability of liquid', 'probability', 'pictures', top=None)
    layout |= {'barmode': 'group', 'shapes': [_upright(scores['presence_threshold'])]}
    figures['probability'] = {
        'data': [
            _bars([c.probability for c in cases if c.item.liquid == liquid], colour, name)
            for liquid, colour, name in ((True, GREEN, 'wet'), (False, RED, 'dry'))
        ],
        'layout': layout,
    }
    return figures


def _line(x: Sequence[float], y: Sequence[float], colour: str, name: str) -> dict[str, Any]:
    return {
        'type': 'scatter', 'mode': 'lines', 'name': name, 'x': rounded(x, 4), 'y': rounded(y, 4),
        'line': {'color': colour, 'width': 2},
    }  # fmt: skip


def _bars(probabilities: Sequence[float], colour: str, name: str) -> dict[str, Any]:
    counts, edges = np.histogram(probabilities, bins=20, range=(0.0, 1.0))
    return {
        'type': 'bar', 'name': name, 'x': rounded((edges[1:] + edges[:-1]) / 2, 3),
        'y': counts.tolist(), 'marker': {'color': colour},
    }  # fmt: skip


def _upright(x: float) -> dict[str, Any]:
    """The shipped threshold."""
    return {
        'type': 'line', 'x0': x, 'x1': x, 'yref': 'paper', 'y0': 0, 'y1': 1,
        'line': {'color': AMBER, 'width': 1, 'dash': 'dash'},
    }  # fmt: skip


def _layout(title: str, x: str, y: str, top: float | None = 1.02) -> dict[str, Any]:
    axis: dict[str, Any] = {'gridcolor': GRID, 'zeroline': False, 'fixedrange': True}
    limits = {} if top is None else {'range': [-0.02, top]}
    return {
        'height': 320,
        'margin': {'l': 50, 'r': 12, 't': 56, 'b': 42},
        'title': {
            'text': title, 'font': {'size': 13, 'color': INK},
            'x': 0, 'xref': 'paper', 'y': 0.97, 'yanchor': 'top',
        },
        'font': {'family': 'system-ui, sans-serif', 'size': 12, 'color': INK},
        'paper_bgcolor': '#ffffff',
        'plot_bgcolor': '#ffffff',
        'legend': {'orientation': 'h', 'x': 0, 'y': 1, 'yanchor': 'bottom'},
        'xaxis': {**axis, 'title': {'text': x}, 'range': [-0.02, 1.02]},
        'yaxis': {**axis, **limits, 'title': {'text': y}},
    }  # fmt: skip
