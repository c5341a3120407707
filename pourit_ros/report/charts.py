# SPDX-License-Identifier: Apache-2.0
"""The report's time plots as one plotly figure (plain dict, ready for JSON)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .series import Series, percentile

INK = '#1c2026'
GREY = '#66707c'
SLATE = '#44505e'
GRID = '#e7eaee'
BLUE = '#0077c2'
GREEN = '#12924f'
RED = '#d0382b'
AMBER = '#c98a00'
VIOLET = '#7a4fd0'
FLOW = 'rgba(0,150,230,0.09)'
STATE_COLOURS = {
    'idle': '#c9ced5',
    'searching': '#f3d48a',
    'flowing': '#7cc3f0',
    'stopped': '#aeb7c2',
    'fault': '#f0a097',
}

# Heights in px: plot, gap with the title above it, state strip.
PLOT, GAP, STRIP = 132, 48, 22
# A label needs this share of the time axis to fit.
MIN_LABEL = 0.06


def time_plots(
    series: Series, threshold: float | None, states: Sequence[tuple[int, str]], first_ns: int
) -> dict[str, Any]:
    """Return the figure: distance, offset, margin, probability and latency over one time axis.

    `threshold`: presence threshold; `states`: (stamp_ns, state) changes of the pour state, drawn
    as a strip on top; `first_ns`: the stamp at time 0.
    """
    figure = _Figure(5, bool(states), float(series.time[-1]) if len(series.time) else 1.0)
    t = series.time
    if states:
        _add_states(figure, [((ns - first_ns) / 1e9, name) for ns, name in states], t)
    figure.plot('Distance, lowest liquid to target mouth (mm)')
    figure.line(t, 1000 * series.distance, BLUE, 'distance', '.0f', ' mm')

    colours = {'x': RED, 'y': GREEN, 'z': BLUE}
    named = ' '.join(f'<span style="color:{c}"><b>{k}</b></span>' for k, c in colours.items())
    figure.plot(f'Offset, landing point from target mouth (mm): {named}')
    figure.level(0, GREY, solid=True)
    for k, (name, colour) in enumerate(colours.items()):
        figure.line(t, 1000 * series.offset[:, k], colour, f'offset {name}', '+.0f', ' mm')

    figure.plot(
        f'Margin (mm): <span style="color:{GREEN}"><b>lands inside</b></span>, '
        f'<span style="color:{RED}"><b>outside</b></span>'
    )
    margin = 1000 * series.margin
    known = margin[np.isfinite(margin)]
    low, high = (min(known.min(), 0), max(known.max(), 0)) if len(known) else (-10, 10)
    reach = 0.08 * max(high - low, 10)
    figure.limits(low - reach, high + reach)
    figure.band(0, high + reach, 'rgba(18,146,79,0.12)')
    figure.band(low - reach, 0, 'rgba(208,56,43,0.12)')
    figure.level(0, INK, solid=True)
    figure.line(t, margin, INK, 'margin', '+.0f', ' mm')

    title = 'Probability of liquid'
    if threshold is not None:
        title += f': <span style="color:{AMBER}"><b>threshold {threshold:.2f}</b></span>'
    figure.plot(title)
    figure.limits(-0.03, 1.03)
    if threshold is not None:
        figure.level(threshold, AMBER)
    figure.line(t, series.probability, VIOLET, 'probability', '.2f', '', digits=3)

    typical, slow = (percentile(series.latency_ms, share) for share in (50, 95))
    if typical is None or slow is None:
        figure.plot('Latency (ms)')
    else:
        figure.plot(
            f'Latency (ms): <span style="color:{BLUE}"><b>p50 {typical:.1f}</b></span>, '
            f'<span style="color:{AMBER}"><b>p95 {slow:.1f}</b></span>'
        )
        figure.level(typical, BLUE)
        figure.level(slow, AMBER)
    figure.line(t, series.latency_ms, SLATE, 'latency', '.1f', ' ms', digits=2)
    for start, end in series.flows():
        figure.flow(start, end)
    return figure.finish()


class _Figure:
    """Stacks plots over one time axis."""

    def __init__(self, plots: int, strip: bool, duration: float) -> None:
        self.height = plots * (PLOT + GAP) + (STRIP + GAP if strip else 0)
        self.duration = max(duration, 1e-3)
        self.data: list[dict[str, Any]] = []
        self.shapes: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.axes: dict[str, Any] = {}
        self._top = float(self.height)
        self._count = 0

    def plot(self, title: str, height: int = PLOT) -> None:
        """Start the next plot below the last one."""
        self._count += 1
        self._axis = f'y{self._count if self._count > 1 else ""}'
        self._top -= GAP
        bottom = self._top - height
        domain = [max(bottom, 0.0) / self.height, self._top / self.height]
        self.axes['yaxis' + self._axis[1:]] = {
            'domain': domain,
            'gridcolor': GRID,
            'zeroline': False,
            'nticks': 5,
            'fixedrange': True,
            'tickfont': {'size': 11, 'color': GREY},
        }
        self.annotations.append(
            {
                'text': title, 'x': 0, 'xref': 'paper', 'xanchor': 'left', 'xshift': -44,
                'y': domain[1], 'yref': 'paper', 'yanchor': 'bottom', 'yshift': 5,
                'showarrow': False, 'font': {'size': 13, 'color': INK},
            }
        )  # fmt: skip
        self._top = bottom

    def limits(self, low: float, high: float) -> None:
        """Fix the value axis of the present plot."""
        self.axes['yaxis' + self._axis[1:]]['range'] = [round(low, 3), round(high, 3)]

    def line(
        self,
        time: NDArray[np.float64],
        values: NDArray[np.float64],
        colour: str,
        name: str,
        number: str,
        unit: str,
        digits: int = 1,
    ) -> None:
        """Draw values over time with gaps where they are NaN; dots show what stands alone."""
        self.data.append(
            {
                'type': 'scatter', 'mode': 'lines+markers', 'name': name,
                'x': rounded(time, 3), 'y': rounded(values, digits), 'yaxis': self._axis,
                'line': {'color': colour, 'width': 1.4}, 'marker': {'size': 3, 'color': colour},
                'hovertemplate': f'%{{y:{number}}}{unit}',
            }
        )  # fmt: skip

    def level(self, value: float, colour: str, solid: bool = False) -> None:
        """Draw a horizontal line across the present plot."""
        self.shapes.append(
            {
                'type': 'line', 'xref': 'paper', 'x0': 0, 'x1': 1, 'yref': self._axis,
                'y0': value, 'y1': value, 'layer': 'below' if solid else 'above',
                'line': {'color': colour, 'width': 1, 'dash': 'solid' if solid else 'dash'},
            }
        )  # fmt: skip

    def band(self, low: float, high: float, colour: str) -> None:
        """Shade the present plot between two values."""
        self.shapes.append(
            {
                'type': 'rect', 'xref': 'paper', 'x0': 0, 'x1': 1, 'yref': self._axis,
                'y0': low, 'y1': high, 'fillcolor': colour, 'line': {'width': 0},
                'layer': 'below',
            }
        )  # fmt: skip

    def flow(self, start: float, end: float) -> None:
        """Shade an interval of the time axis in every plot."""
        for k in range(self._count):
            axis = f'y{k + 1 if k else ""} domain'
            self.shapes.append(
                {
                    'type': 'rect', 'xref': 'x', 'x0': round(start, 3), 'x1': round(end, 3),
                    'yref': axis, 'y0': 0, 'y1': 1, 'fillcolor': FLOW, 'line': {'width': 0},
                    'layer': 'below',
                }
            )  # fmt: skip

    def block(self, start: float, end: float, colour: str, label: str) -> None:
        """Fill an interval of the present plot and name it where the name fits."""
        fits = end - start >= MIN_LABEL * self.duration
        self.shapes.append(
            {
                'type': 'rect', 'xref': 'x', 'x0': round(start, 3), 'x1': round(end, 3),
                'yref': f'{self._axis} domain', 'y0': 0, 'y1': 1, 'fillcolor': colour,
                'line': {'width': 0},
                'label': {'text': label if fits else '', 'font': {'size': 11, 'color': INK}},
            }
        )  # fmt: skip

    def finish(self) -> dict[str, Any]:
        """Data and layout for Plotly.newPlot."""
        layout = {
            'height': self.height + 60,
            'margin': {'l': 52, 'r': 16, 't': 0, 'b': 60},
            'paper_bgcolor': '#ffffff',
            'plot_bgcolor': '#ffffff',
            'font': {'family': 'system-ui, sans-serif', 'size': 12, 'color': INK},
            'showlegend': False,
            'hovermode': 'x unified',
            'hoversubplots': 'axis',
            'hoverlabel': {'bgcolor': 'rgba(255,255,255,0.95)', 'bordercolor': GRID},
            'xaxis': {
                'title': {'text': 'time since the first frame (s)', 'font': {'size': 12}},
                'range': [-0.01 * self.duration, 1.01 * self.duration],
                'anchor': f'y{self._count if self._count > 1 else ""}',
                'gridcolor': GRID,
                'zeroline': False,
                'hoverformat': '.2f',
                'unifiedhovertitle': {'text': '%{x:.2f} s'},
                'showspikes': True,
                'spikemode': 'across',
                'spikethickness': 1,
                'spikedash': 'solid',
                'spikecolor': GREY,
                'tickfont': {'size': 11, 'color': GREY},
            },
            **self.axes,
            'shapes': self.shapes,
            'annotations': self.annotations,
        }
        return {'data': self.data, 'layout': layout}


def rounded(values: ArrayLike, digits: int) -> list[float | None]:
    """The values as JSON holds them: NaN becomes null."""
    return [
        round(value, digits) if np.isfinite(value) else None
        for value in np.asarray(values, dtype=float).tolist()
    ]


def _add_states(
    figure: _Figure, changes: list[tuple[float, str]], time: NDArray[np.float64]
) -> None:
    figure.plot('Pour state', STRIP)
    axis = figure.axes['yaxis']
    axis.update(range=[0, 1], visible=False)
    changes = sorted(changes, key=lambda change: change[0])
    ends = [start for start, _ in changes[1:]] + [figure.duration]
    for (start, name), end in zip(changes, ends, strict=True):
        if end > start:
            figure.block(start, end, STATE_COLOURS.get(name, GRID), name)
    # Nothing to see, but the hover box names the state.
    starts = np.array([start for start, _ in changes])
    held = np.searchsorted(starts, time, side='right') - 1
    figure.data.append(
        {
            'type': 'scatter', 'mode': 'lines', 'name': 'state', 'x': rounded(time, 3),
            'y': [0.5] * len(time), 'opacity': 0, 'hovertemplate': '%{text}',
            'text': [changes[k][1] if k >= 0 else '' for k in held],
        }
    )  # fmt: skip
