# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The report's time plots as one plotly figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .palette import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    GRID,
    INK,
    ORANGE,
    PAPER,
    SLATE,
    STATE_COLOURS,
    VIOLET,
)
from .series import Series, percentile

FLOW, INSIDE, OUTSIDE = 'rgba(0,150,230,0.10)', 'rgba(0,114,178,0.14)', 'rgba(213,94,0,0.14)'
# Heights in px: plot, gap with the title above it, state strip, time axis.
PLOT, GAP, STRIP, FOOT = 132, 48, 22, 60
# A label needs this share of the time axis to fit.
MIN_LABEL = 0.06


def time_plots(
    series: Series, threshold: float | None, states: Sequence[tuple[int, str]], first_ns: int
) -> dict[str, Any]:
    """Return the figure: distance, offset, margin, flow, poured, probability, latency over time.

    `threshold`: presence threshold; `states`: (stamp_ns, state) changes of the pour state, drawn
    as a strip on top; `first_ns`: the stamp at time 0. Point k of each trace is row k.
    """
    from plotly.subplots import make_subplots

    t = series.time
    duration = max(float(t[-1]), 1e-3) if len(t) else 1.0
    axes = {'x': (ORANGE, 'solid'), 'y': (GREEN, 'dash'), 'z': (BLUE, 'dot')}
    titles = [
        'Distance, lowest liquid to target mouth (mm)',
        'Landing point from target mouth (mm): '
        + ' '.join(_strong(f'{name} {_DASH[dash]}', c) for name, (c, dash) in axes.items()),
        'Margin (mm)',
        'Flow (ml/s), ± one standard deviation',
        'Poured (ml), ± one standard deviation',
        'Probability of liquid'
        + ('' if threshold is None else f': {_strong(f"threshold {threshold:.2f}", AMBER)}'),
        'Latency (ms)',
    ]
    typical, slow = (percentile(series.latency_ms, share) for share in (50, 95))
    if typical is not None and slow is not None:
        titles[-1] += (
            f': {_strong(f"p50 {typical:.1f}", BLUE)}, {_strong(f"p95 {slow:.1f}", AMBER)}'
        )
    heights = [PLOT] * len(titles)
    if states:
        titles.insert(0, 'Pour state')
        heights.insert(0, STRIP)
    rows = len(heights)
    # Gaps lie between the plots; a title needs one above the first, too: the top margin.
    inner = sum(heights) + GAP * (rows - 1)
    figure = make_subplots(
        rows=rows, cols=1, shared_xaxes=True, subplot_titles=titles,
        row_heights=heights, vertical_spacing=GAP / inner,
    )  # fmt: skip
    figure.update_annotations(
        x=0, xanchor='left', xshift=-44, yshift=5, font={'size': 13, 'color': INK}
    )
    figure.update_yaxes(
        gridcolor=GRID, zeroline=False, nticks=5, fixedrange=True,
        tickfont={'size': 11, 'color': GREY},
    )  # fmt: skip
    row = 1
    if states:
        changes = sorted(((ns - first_ns) / 1e9, name) for ns, name in states)
        _add_states(figure, changes, t, duration)
        row = 2

    def line(
        values: NDArray[np.float64], colour: str, name: str, number: str, dash: str = 'solid',
        digits: int = 1,
    ) -> None:  # fmt: skip
        # Gaps where a value is NaN; dots show what stands alone.
        figure.add_scatter(
            x=rounded(t, 3), y=rounded(values, digits), name=name, mode='lines+markers',
            line={'color': colour, 'width': 1.6, 'dash': dash},
            marker={'size': 3, 'color': colour},
            hovertemplate=f'%{{y:{number}}}', row=row, col=1,
        )  # fmt: skip

    def band(values: NDArray[np.float64], sigma: NDArray[np.float64], name: str) -> None:
        for edge, side, fill in (
            (values - sigma, 'least', None), (values + sigma, 'most', 'tonexty'),
        ):  # fmt: skip
            figure.add_scatter(
                x=rounded(t, 3), y=rounded(np.maximum(edge, 0), 1), name=f'{name}, {side}',
                mode='lines', fill=fill, fillcolor=INSIDE, line={'width': 0},
                hoverinfo='skip', row=row, col=1,
            )  # fmt: skip

    def level(value: float, colour: str, dash: str = 'dash') -> None:
        figure.add_hline(
            value, row=row, col=1, line={'color': colour, 'width': 1, 'dash': dash},
            exclude_empty_subplots=False,
        )  # fmt: skip

    line(1000 * series.distance, BLUE, 'distance', '.0f')
    row += 1
    level(0, GREY, 'solid')
    for k, (name, (colour, dash)) in enumerate(axes.items()):
        line(1000 * series.offset[:, k], colour, f'offset {name}', '+.0f', dash)
    row += 1
    margin = 1000 * series.margin
    known = margin[np.isfinite(margin)]
    low, high = (min(known.min(), 0), max(known.max(), 0)) if len(known) else (-10, 10)
    reach = 0.08 * max(high - low, 10)
    low, high = round(low - reach, 3), round(high + reach, 3)
    figure.update_yaxes(range=[low, high], row=row)
    for bottom, top, colour in ((0, high, INSIDE), (low, 0, OUTSIDE)):
        figure.add_hrect(
            bottom, top, row=row, col=1, fillcolor=colour, line_width=0, layer='below',
            exclude_empty_subplots=False,
        )  # fmt: skip
    for value, side, text in (
        (high, 'top', _strong('inside ↑', BLUE)),
        (low, 'bottom', _strong('outside ↓', ORANGE)),
    ):
        figure.add_annotation(
            x=1, xref='paper', xanchor='right', y=value, yref=f'y{row}', yanchor=side,
            text=text, showarrow=False, font={'size': 12},
        )  # fmt: skip
    level(0, INK, 'solid')
    line(margin, INK, 'margin', '+.0f')
    row += 1
    for name, values, sigma in (
        ('flow', series.flow, series.flow_sigma),
        ('poured', series.poured, series.poured_sigma),
    ):
        figure.update_yaxes(rangemode='tozero', row=row)
        band(values, sigma, name)
        line(values, BLUE, name, '.0f')
        row += 1
    figure.update_yaxes(range=[-0.03, 1.03], row=row)
    if threshold is not None:
        level(threshold, AMBER)
    line(series.probability, VIOLET, 'probability', '.2f', digits=3)
    row += 1
    if typical is not None and slow is not None:
        level(typical, BLUE)
        level(slow, AMBER)
    line(series.latency_ms, SLATE, 'latency', '.1f', digits=2)
    for start, end in series.flows():
        for k in range(1, rows + 1):
            figure.add_vrect(
                round(start, 3), round(end, 3), row=k, col=1, fillcolor=FLOW, line_width=0,
                layer='below',
            )  # fmt: skip
    figure.update_xaxes(
        range=[-0.01 * duration, 1.01 * duration], gridcolor=GRID, zeroline=False,
        hoverformat='.2f',
        showspikes=True, spikemode='across', spikethickness=1, spikedash='solid',
        spikecolor=GREY, tickfont={'size': 11, 'color': GREY},
    )  # fmt: skip
    _one_time_axis(figure, rows)
    figure.update_layout(
        template=None, height=inner + GAP + FOOT,
        margin={'l': 52, 'r': 16, 't': GAP, 'b': FOOT},
        paper_bgcolor=PAPER, plot_bgcolor=PAPER,
        font={'family': 'system-ui, sans-serif', 'size': 12, 'color': INK},
        showlegend=False, hovermode='x unified', hoversubplots='axis',
        hoverlabel={'bgcolor': PAPER, 'bordercolor': GRID},
        xaxis={'title': {'text': "time since the recording's first image (s)"}},
    )  # fmt: skip
    return as_dict(figure)


def rounded(values: ArrayLike, digits: int) -> list[float | None]:
    """The values for JSON: NaN becomes null."""
    return [
        round(value, digits) if np.isfinite(value) else None
        for value in np.asarray(values, dtype=float).tolist()
    ]


def as_dict(figure: Any) -> dict[str, Any]:
    """A plotly figure as a page holds it."""
    return json.loads(figure.to_json())


_DASH = {'solid': '—', 'dash': '- -', 'dot': '···'}


def _strong(text: str, colour: str) -> str:
    return f'<span style="color:{colour}"><b>{text}</b></span>'


def _one_time_axis(figure: Any, rows: int) -> None:
    """Hang all plots on the lowest time axis, so that one hover box speaks of all of them."""
    last = f'y{rows}'
    figure.update_traces(xaxis='x')
    figure.for_each_shape(
        lambda shape: shape.update(xref=shape.xref.replace(shape.xref.split()[0], 'x'))
    )
    for k in range(2, rows + 1):
        figure.layout[f'xaxis{k}'] = None
        figure.layout[f'yaxis{k}'].anchor = 'x'
    figure.layout.xaxis.update(anchor=last, matches=None, showticklabels=True, domain=[0, 1])


def _add_states(
    figure: Any, changes: list[tuple[float, str]], time: NDArray[np.float64], duration: float
) -> None:
    figure.update_yaxes(range=[0, 1], visible=False, row=1)
    ends = [start for start, _ in changes[1:]] + [duration]
    for (start, name), end in zip(changes, ends, strict=True):
        if end > start:
            fits = end - start >= MIN_LABEL * duration
            figure.add_vrect(
                round(start, 3), round(end, 3), row=1, col=1, line_width=0,
                fillcolor=STATE_COLOURS.get(name, GRID), exclude_empty_subplots=False,
                label={'text': name if fits else '', 'font': {'size': 11, 'color': INK}},
            )  # fmt: skip
    # Nothing to see, but the hover box names the state.
    starts = np.array([start for start, _ in changes])
    held = np.searchsorted(starts, time, side='right') - 1
    figure.add_scatter(
        x=rounded(time, 3), y=[0.5] * len(time), name='state', mode='lines', opacity=0,
        text=[changes[k][1] if k >= 0 else '' for k in held], hovertemplate='%{text}',
        row=1, col=1,
    )  # fmt: skip
