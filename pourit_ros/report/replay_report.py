# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about a replay: figures, time plots, key frames, reasons."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ..files import replacing
from .charts import time_plots
from .errors import ReportError
from .series import Series, percentile

if TYPE_CHECKING:
    from ..bags.rows import Row

# All key frames together; plotly takes 4.8 MB of a page that should mail well.
IMAGE_BYTES = 1_500_000
IMAGE_WIDTHS = (960, 720, 540, 400, 280)

DEFINITIONS = (
    (
        'Distance',
        'From the lowest point of the liquid region’s medial axis to the centre of the target’s '
        'mouth, in 3D.',
    ),
    (
        'Offset',
        'Landing point minus the centre of the target’s mouth, along the axes of the base frame '
        '(z up). The landing point is where the free-fall curve fitted to the stream crosses the '
        'plane of the target’s rim.',
    ),
    (
        'Margin',
        'Rim radius minus the horizontal length of the offset. Positive: the stream’s centre '
        'lands inside the rim; negative: outside.',
    ),
    (
        'Probability',
        'The classifier’s calibrated probability that liquid is flowing. A frame counts as liquid '
        'above the threshold that came with the weights.',
    ),
    (
        'Latency',
        'Time to one frame’s answer. Offline: computing time of the frame. Live: from the arrival '
        'of its camera info to the arrival of the last message about it.',
    ),
    (
        'Measured',
        'A liquid frame is measured when distance, offset and margin could all be estimated; '
        'otherwise its reason is in the table. No liquid is no measurement, not a zero.',
    ),
)

STYLE = """
:root { --ink: #1c2026; --grey: #66707c; --line: #e1e5ea; --paper: #ffffff; --ground: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 12px; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px; margin-top: 18px; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 0; color: var(--grey);
  font-size: 14px; }
.facts div { display: flex; gap: 6px; }
.facts dt::after { content: ':'; }
.facts dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px;
  margin-top: 20px; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 16px; }
.card b { display: block; font-size: 26px; font-weight: 650; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.card span { display: block; color: var(--grey); font-size: 13px; }
.card span:first-child { color: var(--ink); font-size: 14px; }
.note { color: var(--grey); font-size: 13px; margin: -6px 0 4px; }
.swatch { display: inline-block; width: 14px; height: 10px; border-radius: 2px;
  background: #dcedf9; border: 1px solid #b6d7ee; }
.frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 16px; }
figure { margin: 0; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; border-radius: 6px; background: #000; }
figcaption { margin-top: 5px; font-size: 13px; color: var(--grey); overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--grey); }
th, td { padding: 7px 16px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.count, th.count { text-align: right; white-space: nowrap; width: 1%;
  font-variant-numeric: tabular-nums; }
.bar { height: 8px; border-radius: 4px; background: #f0c35a; min-width: 2px; }
td.share { width: 22%; padding-right: 0; vertical-align: middle; }
dl.terms { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr));
  gap: 14px 28px; margin: 0; }
dl.terms dt { font-weight: 600; }
dl.terms dd { margin: 0; color: #3b434d; font-size: 14px; }
@media print {
  @page { size: A4; margin: 12mm; }
  body { background: #fff; font-size: 12px; }
  main { max-width: none; padding: 0; }
  section, .card { break-inside: avoid; border-color: #ccd2d9; }
  section.plots { border: 0; padding: 0; }
  .frames { grid-template-columns: repeat(3, 1fr); gap: 10px; }
  .cards { grid-template-columns: repeat(6, 1fr); gap: 6px; }
  .card { padding: 8px 10px; }
  .card b { font-size: 18px; }
  .card span { font-size: 11px; }
  dl.terms { grid-template-columns: repeat(3, 1fr); }
  .modebar-container { display: none; }
}
"""

# Recent plotly offers to upload a plot to its cloud; a robot cell's data stays where it is.
# On paper the plots share A4's 186 mm by 273 mm with the header.
SCRIPT = """
const figure = JSON.parse(document.getElementById('figure').textContent);
const plot = document.getElementById('plot');
Plotly.newPlot(plot, figure.data, figure.layout, {responsive: true, displaylogo: false,
  showSendToCloud: false, plotlyServerURL: '',
  modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d']});
addEventListener('beforeprint', () => Plotly.relayout(plot, {width: 690, height: 690}));
addEventListener('afterprint', () => Plotly.relayout(
  plot, {width: null, height: figure.layout.height, autosize: true}));
"""


def write_report(
    path: str | Path,
    rows: Sequence[Row],
    key_frames: Sequence[tuple[str, NDArray[np.uint8]]],
    summary: Mapping[str, object],
    title: str,
    threshold: float | None = None,
    states: Sequence[tuple[int, str]] = (),
) -> None:
    """Write the HTML page; it needs no network and no other file.

    `rows`: one for each frame; `key_frames`: (caption, RGB image); `summary`: what the rows do not
    tell, by label (mode, weights, containers, ...), shown as given; `threshold`: of the
    probability; `states`: changes of the pour state as (stamp_ns, state).
    Raises ReportError for a key frame that is no RGB uint8 image.
    """
    from plotly.offline import get_plotlyjs

    series = Series.from_rows(rows)
    first_ns = min((row.stamp_ns for row in rows), default=0)
    body = '\n'.join(
        [
            '<header>',
            f'<h1>{escape(title)}</h1>',
            _facts(summary),
            _cards(series),
            '</header>',
            '<section class="plots"><h2>Over time</h2>',
            '<p class="note"><span class="swatch"></span> liquid is flowing. Gaps: not estimated.'
            ' Drag to zoom, double-click to zoom out.</p>',
            '<div id="plot"></div><noscript>The plots need JavaScript.</noscript></section>',
            _key_frames(key_frames),
            _reasons(series),
            _definitions(),
        ]
    )
    # JSON inside a script element must not hold the characters that would end it.
    data = json.dumps(time_plots(series, threshold, states, first_ns), separators=(',', ':'))
    data = data.replace('<', '\\u003c')
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="figure">{data}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""
    with replacing(Path(path)) as partial:
        partial.write_text(page, encoding='utf-8')


def _facts(summary: Mapping[str, object]) -> str:
    entries = ''.join(
        f'<div><dt>{escape(str(label))}</dt><dd>{escape(str(value))}</dd></div>'
        for label, value in summary.items()
    )
    return f'<dl class="facts">{entries}</dl>'


def _cards(series: Series) -> str:
    frames, liquid = len(series.time), int(series.present.sum())
    duration = f'{series.time[-1]:.1f} s' if frames else ''
    rate = series.rate
    measured = int((series.present & series.valid).sum())
    with_margin = int((series.present & np.isfinite(series.margin)).sum())
    middle, low, high = (percentile(1000 * series.distance, q) for q in (50, 5, 95))
    typical, slow = (percentile(series.latency_ms, q) for q in (50, 95))
    cards = [
        ('Frames', str(frames), f'{duration} at {rate:.1f} frames/s' if rate else duration),
        ('Liquid', _per_cent(liquid, frames), f'{liquid} frames'),
        ('Measured', _per_cent(measured, liquid), f'{measured} of {liquid} liquid frames'),
        (
            'Median distance',
            _with_unit(middle, '.0f', 'mm'),
            '' if middle is None else f'90 % of frames: {low:.0f} to {high:.0f} mm',
        ),
        (
            'Lands inside',
            '–' if series.inside is None else f'{100 * series.inside:.0f} %',
            f'of {with_margin} liquid frames with a margin',
        ),
        (
            'Median latency',
            _with_unit(typical, '.1f', 'ms'),
            '' if slow is None else f'95 % below {slow:.1f} ms',
        ),
    ]
    return '<div class="cards">' + ''.join(
        f'<div class="card"><span>{name}</span><b>{value}</b><span>{note}</span></div>'
        for name, value, note in cards
    ) + '</div>'  # fmt: skip


def _per_cent(part: int, whole: int) -> str:
    return f'{100 * part / whole:.0f} %' if whole else '–'


def _with_unit(value: float | None, number: str, unit: str) -> str:
    return '–' if value is None else f'{value:{number}} {unit}'


def _key_frames(key_frames: Sequence[tuple[str, NDArray[np.uint8]]]) -> str:
    if not key_frames:
        return ''
    figures = ''.join(
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{escape(caption)}">'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
        for (caption, _), data in zip(
            key_frames, _encode([image for _, image in key_frames]), strict=True
        )
    )
    return f'<section><h2>Key frames</h2><div class="frames">{figures}</div></section>'


def _encode(images: Sequence[NDArray[np.uint8]]) -> list[str]:
    """The images as base64 JPEG, in the largest width that keeps all of them small enough."""
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ReportError(
                f'report: key frames are RGB uint8 images, got {image.dtype} {image.shape}'
            )
    for width in IMAGE_WIDTHS:
        encoded = [_jpeg(image, width) for image in images]
        if sum(map(len, encoded)) <= IMAGE_BYTES:
            break
    return [base64.b64encode(data).decode('ascii') for data in encoded]


def _jpeg(image: NDArray[np.uint8], width: int) -> bytes:
    if image.shape[1] > width:
        size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    ok, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not ok:
        raise ReportError(f'report: OpenCV could not encode a key frame {image.shape}')
    return data.tobytes()


def _reasons(series: Series) -> str:
    invalid = int((series.present & ~series.valid).sum())
    counts = series.reason_counts()
    if not counts:
        text = 'Every liquid frame was measured.' if series.present.any() else 'No liquid seen.'
        return f'<section><h2>Frames without a measurement</h2><p>{text}</p></section>'
    most = counts[0][1]
    table = ''.join(
        f'<tr><td>{escape(reason)}</td><td class="count">{count}</td><td class="share">'
        f'<div class="bar" style="width:{100 * count / most:.1f}%"></div></td></tr>'
        for reason, count in counts
    )
    return (
        '<section><h2>Frames without a measurement</h2>'
        f'<p class="note">{invalid} liquid frames; one can have several reasons.</p>'
        '<div class="scroll"><table><thead><tr><th>Reason</th><th class="count">Frames</th>'
        f'<th></th></tr></thead><tbody>{table}</tbody></table></div></section>'
    )


def _definitions() -> str:
    terms = ''.join(f'<div><dt>{name}</dt><dd>{text}</dd></div>' for name, text in DEFINITIONS)
    return f'<section><h2>How the numbers are defined</h2><dl class="terms">{terms}</dl></section>'
