# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The curves of an evaluation, as plotly figures; each of several weights has its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..report.charts import rounded
from ..report.palette import BLUE, GREEN, GREY, GRID, INK, ORANGE, PAPER, VIOLET
from . import metrics
from .evaluate import Case

# Colour, dash and bar pattern of the first weights, the second, ...
LOOKS = (
    (BLUE, 'solid', ''),
    (ORANGE, 'dash', '/'),
    (GREEN, 'dot', 'x'),
    (VIOLET, 'dashdot', '.'),
)
#: Bins of fewer images say nothing about a share and are drawn as rings without a line.
FEW = 2


def eval_curves(
    scored: Sequence[tuple[str, Mapping[str, Any], Sequence[Case]]],
) -> dict[str, dict[str, Any]]:
    """Figures by name: IoU over thresholds (with masks), ROC, PR, calibration, probabilities.

    `scored`: name, scores and cases of each weights, at most as many as `LOOKS`. ROC and PR are
    left out of a set without both kinds of images.
    """
    titles = {
        'curve': ('IoU', 'threshold on the CAM', 'IoU'),
        'roc': ('ROC', 'false alarms', 'recall'),
        'pr': ('Precision and recall', 'recall', 'precision'),
        'reliability': ('Calibration', 'stated probability', 'share with liquid'),
        'probability': ('Probability of liquid', 'probability', 'images'),
    }
    figures: dict[str, dict[str, Any]] = {
        name: {'data': [], 'layout': _layout(*words)} for name, words in titles.items()
    }
    diagonal = _line([0, 1], [0, 1], (GREY, 'dash', ''), 'calibrated', 1.0)
    _add(figures, 'reliability', [{**diagonal, 'showlegend': False}])
    figures['probability']['layout'] |= {'barmode': 'group'}
    figures['probability']['layout']['yaxis'].pop('range')
    several = len(scored) > 1
    for look, (name, scores, cases) in zip(LOOKS, scored, strict=False):
        label = f'{name}: ' if several else ''
        curve = scores['curve']
        if curve is not None:
            _add(
                figures,
                'curve',
                [
                    _line(curve['threshold'], curve['mean'], look, f'{label}mean'),
                    _line(curve['threshold'], curve['dataset'], look, f'{label}all pixels', 1.0),
                    _shipped(scores['mask_threshold'], curve, look),
                ],
            )
        _add_operating(figures, scores, cases, look, name)
        _add(figures, 'reliability', _calibration(scores, look, name if several else 'observed'))
        _add(
            figures,
            'probability',
            [
                _bars([c.probability for c in cases if c.item.liquid == wet], colour, what, look)
                for wet, colour, what in (
                    (True, look[0] if several else BLUE, f'{label}wet'),
                    (False, GREY if several else ORANGE, f'{label}dry'),
                )
            ],
        )
    return {name: figure for name, figure in figures.items() if figure['data']}


def _add(figures: dict[str, dict[str, Any]], name: str, traces: list[dict[str, Any]]) -> None:
    figures[name]['data'] += traces


def _add_operating(
    figures: dict[str, dict[str, Any]],
    scores: Mapping[str, Any],
    cases: Sequence[Case],
    look: tuple[str, str, str],
    name: str,
) -> None:
    """ROC and PR with a mark at the threshold that came with the weights."""
    points = metrics.operating_points(
        *(
            np.array([c.probability for c in cases if c.item.liquid == wet])
            for wet in (True, False)
        )
    )
    if points is None:
        return
    now = scores['presence']
    for figure, x, y, at in (
        ('roc', points.false_alarms, points.recall, ('false_alarms', 'recall')),
        ('pr', points.recall, points.precision, ('recall', 'precision')),
    ):
        line = _line(x, y, look, name)
        if figure == 'roc':
            line['line']['shape'] = 'hv'
        traces = [line]
        if None not in (now[at[0]], now[at[1]]):
            traces.append(_mark(now[at[0]], now[at[1]], look, 'its threshold'))
        _add(figures, figure, traces)


def _calibration(
    scores: Mapping[str, Any], look: tuple[str, str, str], name: str
) -> list[dict[str, Any]]:
    """Bins as a line; what rests on a single image stands apart from it."""
    bins = [row for row in scores['calibration']['bins'] if row['count']]
    traces = []
    for many in (True, False):
        rows = [row for row in bins if (row['count'] >= FEW) == many]
        if not rows:
            continue
        trace = _line(
            [row['probability'] for row in rows],
            [row['observed'] for row in rows],
            look,
            name if many else f'{name}: one image',
        )
        trace |= {
            'mode': 'lines+markers' if many else 'markers',
            'showlegend': many,
            'marker': {
                'color': look[0],
                'size': 7,
                'symbol': 'circle' if many else 'circle-open',
            },
            'text': [f'{row["count"]} images' for row in rows],
            'hovertemplate': '%{x:.3f}: %{y:.3f}<br>%{text}',
        }
        traces.append(trace)
    return traces


def _line(
    x: Sequence[float],
    y: Sequence[float],
    look: tuple[str, str, str],
    name: str,
    width: float = 2.2,
) -> dict[str, Any]:
    return {
        'type': 'scatter', 'mode': 'lines', 'name': name, 'x': rounded(x, 4), 'y': rounded(y, 4),
        'line': {'color': look[0], 'dash': look[1], 'width': width},
    }  # fmt: skip


def _mark(x: float, y: float, look: tuple[str, str, str], name: str) -> dict[str, Any]:
    return {
        'type': 'scatter', 'mode': 'markers', 'name': name, 'x': [round(x, 4)],
        'y': [round(y, 4)], 'showlegend': False,
        'marker': {'color': look[0], 'size': 10, 'symbol': 'diamond'},
    }  # fmt: skip


def _shipped(
    threshold: float, curve: Mapping[str, Sequence[float]], look: tuple[str, str, str]
) -> dict[str, Any]:
    """The threshold that came with the weights, on their curve."""
    iou = float(np.interp(threshold, curve['threshold'], curve['mean']))
    return _mark(threshold, iou, look, 'its threshold')


def _bars(
    probabilities: Sequence[float], colour: str, name: str, look: tuple[str, str, str]
) -> dict[str, Any]:
    counts, edges = np.histogram(probabilities, bins=20, range=(0.0, 1.0))
    return {
        'type': 'bar', 'name': name, 'x': rounded((edges[1:] + edges[:-1]) / 2, 3),
        'y': counts.tolist(),
        'marker': {'color': colour, 'pattern': {'shape': look[2], 'solidity': 0.4}},
    }  # fmt: skip


def _layout(title: str, x: str, y: str) -> dict[str, Any]:
    axis = {'gridcolor': GRID, 'zeroline': False, 'fixedrange': True, 'range': [-0.02, 1.02]}
    return {
        'height': 340,
        'margin': {'l': 50, 'r': 12, 't': 76, 'b': 42},
        'title': {
            'text': title, 'font': {'size': 13, 'color': INK},
            'x': 0, 'xref': 'paper', 'y': 0.98, 'yanchor': 'top',
        },
        'font': {'family': 'system-ui, sans-serif', 'size': 12, 'color': INK},
        'paper_bgcolor': PAPER,
        'plot_bgcolor': PAPER,
        'legend': {'orientation': 'h', 'x': 0, 'y': 1, 'yanchor': 'bottom'},
        'xaxis': {**axis, 'title': {'text': x}},
        'yaxis': {**axis, 'title': {'text': y}},
    }  # fmt: skip
