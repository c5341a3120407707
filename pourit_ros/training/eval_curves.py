# SPDX-License-Identifier: Apache-2.0
"""The curves of an evaluation, as plotly figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..report.charts import AMBER, BLUE, GREEN, GREY, GRID, INK, RED, rounded
from .evaluate import Case


def eval_curves(scores: Mapping[str, Any], cases: Sequence[Case]) -> dict[str, Any]:
    """Figures by name: IoU over thresholds (with masks), calibration, probabilities."""
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
