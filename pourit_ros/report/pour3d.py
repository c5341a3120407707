# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The pour in 3D as an interactive plotly figure: streams, landing points, the target's rim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .charts import as_dict, rounded
from .palette import AMBER, BLUE, GREY, GRID, INK, ORANGE, PAPER

if TYPE_CHECKING:
    from ..formats.estimates_csv import Row
    from ..geometry import PourGeometry

# Points of a stream's curve, and streams of a page, which is to stay small.
CURVE, STREAMS = 16, 600
RIM = 40


@dataclass(frozen=True, eq=False)
class Shot:
    """What a page shows of a frame beside its row; base frame, m.

    `frame`: number in the video, None where it is not in it; `stream` (16, 3): the fitted centre
    line; `rim` (40, 3): of the target, closed.
    """

    frame: int | None = None
    stream: NDArray[np.float64] | None = None
    rim: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, frame: int | None, geometry: PourGeometry) -> Shot:
        """Take from a measurement what the page shows."""
        stream = None
        if geometry.stream is not None and geometry.lowest_point is not None:
            bottom = float(geometry.lowest_point[2])
            if geometry.landing_point is not None:
                bottom = min(bottom, float(geometry.landing_point[2]))
            stream = geometry.curve(bottom, CURVE)
        rim = None if geometry.rim is None else geometry.rim.circle(RIM)
        return cls(frame, stream, rim)


def pour_view(rows: Sequence[Row], shots: Mapping[int, Shot]) -> dict[str, Any] | None:
    """Return figure and streams for the page, None where nothing was located.

    `shots` by the row's stamp. 'figure': of plotly; its trace 0 is the stream of the frame that
    is shown, trace 1 its landing point; 'streams': by row number, three lists x, y, z.
    """
    import plotly.graph_objects as go

    landed = [row for row in rows if row.landing is not None]
    streams = {
        str(k): [rounded(column, 4) for column in shot.stream.T]
        for k, row in enumerate(rows)
        if (shot := shots.get(row.stamp_ns)) is not None and shot.stream is not None
    }
    if not landed and not streams:
        return None
    if len(streams) > STREAMS:
        kept = np.linspace(0, len(streams) - 1, STREAMS).round().astype(int)
        names = list(streams)
        streams = {names[k]: streams[names[k]] for k in kept}
    first: list[list[float | None]] = next(iter(streams.values()), [[], [], []])
    figure = go.Figure()
    figure.add_scatter3d(
        x=first[0], y=first[1], z=first[2], mode='lines', name='stream of this frame',
        line={'color': AMBER, 'width': 6}, hoverinfo='name',
    )  # fmt: skip
    figure.add_scatter3d(
        x=[], y=[], z=[], mode='markers', name='its landing point', hoverinfo='name',
        marker={'size': 8, 'color': INK, 'symbol': 'cross'},
    )  # fmt: skip
    for name, colour, symbol, wanted in (
        ('lands inside', BLUE, 'circle', lambda margin: margin is not None and margin >= 0),
        ('lands outside', ORANGE, 'diamond', lambda margin: margin is not None and margin < 0),
    ):
        points = [row for row in landed if wanted(row.margin)]
        x, y, z = (rounded([_at(row, k) for row in points], 4) for k in range(3))
        figure.add_scatter3d(
            x=x, y=y, z=z, mode='markers', name=name,
            marker={'size': 3.5, 'color': colour, 'symbol': symbol},
            text=[f'margin {1000 * (row.margin or 0):+.0f} mm' for row in points],
            hovertemplate='%{text}<extra></extra>',
        )  # fmt: skip
    rims = [shot.rim for shot in shots.values() if shot.rim is not None]
    if rims:
        # The target may move; the one in the middle of the recording stands for it.
        rim = rims[len(rims) // 2]
        figure.add_scatter3d(
            x=rounded(rim[:, 0], 4), y=rounded(rim[:, 1], 4), z=rounded(rim[:, 2], 4),
            mode='lines', name='rim of the target', line={'color': GREY, 'width': 5},
            hoverinfo='name',
        )  # fmt: skip
    axis = {'color': GREY, 'gridcolor': GRID, 'backgroundcolor': PAPER, 'zeroline': False,
            'nticks': 5}  # fmt: skip
    figure.update_layout(
        template=None, height=460, margin={'l': 0, 'r': 0, 't': 0, 'b': 0},
        paper_bgcolor=PAPER, font={'family': 'system-ui, sans-serif', 'size': 12, 'color': INK},
        legend={'orientation': 'h', 'x': 0, 'y': 0, 'yanchor': 'top'},
        scene={
            'aspectmode': 'data',
            **{f'{k}axis': {**axis, 'title': {'text': f'{k} (m)'}} for k in 'xyz'},
        },
    )  # fmt: skip
    return {'figure': as_dict(figure), 'streams': streams}


def _at(row: Row, k: int) -> float:
    assert row.landing is not None
    return row.landing[k]
