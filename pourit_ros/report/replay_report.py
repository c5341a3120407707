# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about a replay: figures, time plots, key frames, reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .charts import time_plots
from .page import definitions, header, jpeg, pictures, write_page
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

# Recent plotly offers to upload a plot to its cloud; a robot cell's data stays where it is.
# On paper the plots share A4's 186 mm by 273 mm with the header.
SCRIPT = """
const figure = JSON.parse(document.getElementById('figures').textContent);
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
    series = Series.from_rows(rows)
    first_ns = min((row.stamp_ns for row in rows), default=0)
    sections = [
        header(title, summary, _cards(series)),
        '<section class="plots"><h2>Over time</h2>',
        '<p class="note"><span class="swatch"></span> liquid is flowing. Gaps: not estimated.'
        ' Drag to zoom, double-click to zoom out.</p>',
        '<div id="plot"></div><noscript>The plots need JavaScript.</noscript></section>',
        _key_frames(key_frames),
        _reasons(series),
        definitions(DEFINITIONS),
    ]
    write_page(
        Path(path), title, sections, time_plots(series, threshold, states, first_ns), SCRIPT
    )


def _cards(series: Series) -> list[tuple[str, str, str]]:
    frames, liquid = len(series.time), int(series.present.sum())
    duration = f'{series.time[-1]:.1f} s' if frames else ''
    rate = series.rate
    measured = int((series.present & series.valid).sum())
    with_margin = int((series.present & np.isfinite(series.margin)).sum())
    middle, low, high = (percentile(1000 * series.distance, q) for q in (50, 5, 95))
    typical, slow = (percentile(series.latency_ms, q) for q in (50, 95))
    return [
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


def _per_cent(part: int, whole: int) -> str:
    return f'{100 * part / whole:.0f} %' if whole else '–'


def _with_unit(value: float | None, number: str, unit: str) -> str:
    return '–' if value is None else f'{value:{number}} {unit}'


def _key_frames(key_frames: Sequence[tuple[str, NDArray[np.uint8]]]) -> str:
    if not key_frames:
        return ''
    captions = [caption for caption, _ in key_frames]
    # The largest width that keeps all of them small enough.
    for width in IMAGE_WIDTHS:
        encoded = [jpeg(image, width) for _, image in key_frames]
        if sum(map(len, encoded)) <= IMAGE_BYTES:
            break
    shown = pictures(zip(captions, encoded, strict=True))
    return f'<section><h2>Key frames</h2>{shown}</section>'


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
