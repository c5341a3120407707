# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about a replay: figures, time plots, key frames, reasons."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from .account import Account
from .charts import rounded, time_plots
from .page import (
    Html,
    account_banner,
    account_section,
    definitions,
    header,
    jpeg,
    pictures,
    table,
    write_page,
)
from .pour3d import Shot, pour_view
from .series import Series, percentile

if TYPE_CHECKING:
    from ..formats.estimates_csv import Row

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
        'Flow',
        'From the width and the speed of the visible stream, with its standard deviation. Gaps: '
        'no liquid, or too little of the stream in sight.',
    ),
    (
        'Poured',
        'The flow’s integral since the first frame. Frames that were dropped or could not be '
        'measured while liquid flowed are bridged, and widen the deviation.',
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
        'otherwise its reason is in the table. No liquid means no measurement, not zero.',
    ),
)

# A video of at most this size lies within the page, a larger one beside it.
VIDEO_BYTES = 8_000_000

# A row's number is the number of its point in every trace. On paper the plots share A4's
# 186 mm by 273 mm with the header.
SCRIPT = """
const plot = document.getElementById('plot'), view = document.getElementById('view');
const video = document.getElementById('video'), now = document.getElementById('now');
let all;
function draw(figures) {
  all = figures;
  Plotly.react(plot, all.plots.data, all.plots.layout, options);
  if (view) Plotly.react(view, all.pour.figure.data, all.pour.figure.layout, options);
}
function show(row, seek) {
  const time = all.time[row];
  if (time === undefined) return;
  const frame = all.frame[row];
  if (seek && video && frame !== null) {
    video.pause();
    video.currentTime = (frame + 0.5) / all.fps;
  }
  const axis = plot._fullLayout.xaxis, size = plot._fullLayout._size;
  const x = axis.l2p(time);
  now.hidden = x < 0 || x > axis._length;
  now.style.left = `${size.l + x}px`;
  if (!view) return;
  const [x3, y3, z3] = all.pour.streams[row] ?? [[], [], []];
  const land = all.landing[row] ?? [];
  Plotly.restyle(view, {x: [x3, land.slice(0, 1)], y: [y3, land.slice(1, 2)],
    z: [z3, land.slice(2, 3)]}, [0, 1]);
}
let waiting = null;
function later(row, seek) {
  if (waiting === null) requestAnimationFrame(() => { show(...waiting); waiting = null; });
  waiting = [row, seek];
}
function follow() {
  const shown = Math.floor(video.currentTime * all.fps + 0.01);
  const row = all.frame.findIndex(frame => frame !== null && frame >= shown);
  if (row >= 0) later(row, false);
}
drawAll(false);
for (const event of ['plotly_hover', 'plotly_click'])
  plot.on(event, data => later(data.points[0].pointNumber, true));
if (video)
  video.addEventListener('timeupdate', () => { if (!video.paused) follow(); });
addEventListener('beforeprint', () => {
  drawAll(true);
  Plotly.relayout(plot, {width: 690, height: 860});
});
addEventListener('afterprint', () => {
  drawAll(false);
  Plotly.relayout(plot, {width: null, height: all.plots.layout.height, autosize: true});
});
"""

STYLE = """
.plots { position: relative; }
.over { position: relative; }
#now { position: absolute; top: 48px; bottom: 60px; width: 0; pointer-events: none;
  border-left: 2px solid #d55e00; }
video { display: block; width: 100%; max-height: 46vh; background: #000; border-radius: 6px; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr));
  gap: 18px; align-items: start; }
.reasons caption { font-size: 13px; font-weight: 400; color: var(--grey); }
.reasons td:last-child { width: 22%; padding-right: 0; vertical-align: middle; }
.reasons th:last-child { width: 22%; }
@media (max-width: 560px) { .reasons tr > :last-child { display: none; } }
.beside > * { min-width: 0; }
@media print { .moving { display: none; } }
"""


def write_report(
    path: str | Path,
    rows: Sequence[Row],
    key_frames: Sequence[tuple[str, NDArray[np.uint8]]],
    account: Account,
    title: str,
    threshold: float | None = None,
    states: Sequence[tuple[int, str]] = (),
    start_ns: int | None = None,
    shots: Mapping[int, Shot] | None = None,
    video: Path | None = None,
    fps: float = 10.0,
) -> None:
    """Write the HTML page; it needs no network, and no other file but a long video.

    `rows`: one for each answered frame; `key_frames`: (caption, RGB image); `account`: of the
    rows, its facts (mode, containers, ...) in the header; `threshold`: of the probability;
    `states`: changes of the pour state as (stamp_ns, state); `start_ns`: the stamp at time 0, the
    first row's by default; `shots`: by stamp, what the 3D view shows and where the row is in the
    `video` of `fps` frames a second, which lies in the page's folder and, where small,
    in the page. Raises InputError for a key frame that is not an RGB uint8 image.
    """
    if start_ns is None:
        start_ns = min((row.stamp_ns for row in rows), default=0)
    rows = sorted(rows, key=lambda row: row.stamp_ns)
    shots = shots or {}
    series = Series.from_rows(rows, start_ns)
    view = pour_view(rows, shots)
    figures = {
        'plots': time_plots(series, threshold, states, start_ns),
        'pour': view,
        'time': rounded(series.time, 3),
        'frame': [shots[r.stamp_ns].frame if r.stamp_ns in shots else None for r in rows],
        'landing': [None if r.landing is None else rounded(r.landing, 4) for r in rows],
        'fps': fps,
    }
    facts = {k: v for k, v in account.facts.items() if isinstance(v, (str, int, float))}
    sections = [
        account_banner(account),
        header(title, facts, _cards(series, account)),
        account_section(account),
        _moving(video, view is not None),
        '<section class="plots"><h2>Over time</h2>',
        '<p class="note"><span class="swatch"></span> liquid is flowing. Gaps: not estimated.'
        ' Drag to zoom, double-click to zoom out.'
        + (' Point at a curve: the video stands at that frame.' if video else '')
        + '</p>',
        '<div class="over"><div id="plot" role="img" aria-label="Pour state, distance, offset, '
        'margin, flow, poured volume, probability and latency over time; the numbers are in '
        'estimates.csv"></div>'
        '<div id="now" class="screen" hidden></div></div>'
        '<noscript>The plots need JavaScript.</noscript></section>',
        _key_frames(key_frames),
        _reasons(account),
        definitions(DEFINITIONS),
    ]
    write_page(Path(path), title, sections, figures, SCRIPT, STYLE)


def _moving(video: Path | None, view: bool) -> str:
    """The video and the 3D view, side by side where there is room."""
    parts = []
    if video is not None:
        source = escape(quote(video.name))
        if video.stat().st_size <= VIDEO_BYTES:
            data = base64.b64encode(video.read_bytes()).decode('ascii')
            source = f'data:video/mp4;base64,{data}'
        parts.append(
            '<div><h2>Video</h2><video id="video" controls muted playsinline preload="auto" '
            f'src="{source}" aria-label="The camera\'s images with what was seen in them">'
            f'{escape(video.name)} beside this page shows it.</video></div>'
        )
    if view:
        parts.append(
            '<div><h2>In 3D</h2><div id="view" role="img" aria-label="Streams, landing points and '
            'the rim of the target in the base frame"></div></div>'
        )
    if not parts:
        return ''
    return f'<section class="moving"><div class="beside">{"".join(parts)}</div></section>'


def _cards(series: Series, account: Account) -> list[tuple[str, str, str]]:
    frames, liquid, measured = account.answered, account.liquid, account.measured or 0
    duration = f'{series.time[-1] - series.time[0]:.1f} s' if frames else ''
    rate = series.rate
    with_margin = int((series.present & np.isfinite(series.margin)).sum())
    middle, low, high = (percentile(1000 * series.distance, q) for q in (50, 5, 95))
    typical, slow = (percentile(series.latency_ms, q) for q in (50, 95))
    return [
        (
            'Frames',
            f'{frames} of {account.given}',
            f'answered, {duration} at {rate:.1f} frames/s' if rate else 'answered',
        ),
        ('Liquid', _per_cent(liquid, frames), f'{liquid} of {frames} frames'),
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


def _reasons(account: Account) -> str:
    invalid = account.liquid - (account.measured or 0)
    counts = account.not_measured.most_common()
    if not counts:
        text = 'Every liquid frame was measured.' if account.liquid else 'No liquid seen.'
        return f'<section><h2>Frames without a measurement</h2><p>{text}</p></section>'
    most = counts[0][1]
    rows = [
        (reason, count, Html(f'<div class="bar" style="width:{100 * count / most:.1f}%"></div>'))
        for reason, count in counts
    ]
    note = f'{invalid} liquid frames; one can have several reasons'
    return (
        '<section class="reasons"><h2>Frames without a measurement</h2>'
        f'{table(note, ("Reason", "Frames", ""), rows)}</section>'
    )
