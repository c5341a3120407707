# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One self-contained page about a pour in the cell: video, cards, curves of each loop."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..report.account import Account
from ..report.charts import as_dict, rounded
from ..report.page import (
    account_banner,
    account_section,
    definitions,
    header,
    table,
    write_page,
)
from ..report.palette import BLUE, GREY, GRID, INK, ORANGE, PAPER
from .setup import Setup
from .trial import Moment, Trial

COLOURS = {'closed': BLUE, 'open': ORANGE}
# Every so many control periods is a point of a curve.
EVERY = 4
_PANELS = (
    ('Landing point off the mouth (mm)', lambda m: _mm(m.off)),
    ('In the cup (ml)', lambda m: 1e6 * m.caught),
    ('Beside the cup (ml)', lambda m: 1e6 * m.spilled),
    ('Flow over the lip (ml/s)', lambda m: 1e6 * m.flow),
    ('Tilt (degrees)', lambda m: 57.29578 * m.tilt),
    ('Speed of the lip (mm/s)', lambda m: 1000 * m.speed),
)
_DEFINITIONS = (
    ('Closed loop', 'The controller corrects by what the perception says of the images.'),
    ('Open loop', 'The same aim, tilt and stop, without any correction by sight.'),
    ('Caught', 'What lands within the opening of the cup, where the cup is at that moment.'),
    ('Beside it', 'What lands elsewhere, or runs over.'),
)
# Names of loops are single words, which the first column of other tables may break.
_STYLE = 'video { width: 100%; border-radius: 6px; } tbody th { overflow-wrap: normal; }'
_SCRIPT = """
function draw(figures) {
  Plotly.react('curves', figures.curves.data, figures.curves.layout, options);
}
drawAll(false);
"""


def _mm(value: float | None) -> float:
    return float('nan') if value is None else 1000 * value


def write_sim_page(
    path: Path,
    setup: Setup,
    trials: Mapping[str, Trial],
    moments: Mapping[str, Sequence[Moment]],
    disturbances: str,
    video: Path | None,
    facts: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> None:
    """Write the page; it needs no network and no other file. `trials`, `moments`: by loop.

    `facts`, `account`: in addition, of a pour by live nodes.
    """
    known = {
        'trial': f'seed {setup.seed}',
        'disturbances': disturbances,
        'to be poured': f'{1e6 * setup.target_volume:.0f} ml',
        'in the bottle': f'{1e6 * setup.fill:.0f} ml (told {1e6 * setup.told_fill:.0f})',
        'cup moved by': f'{1000 * _length(setup.target_move):.0f} mm at {setup.move_at:.1f} s',
        'latency': f'{1000 * setup.latency:.0f} ms',
        **(facts or {}),
    }
    cards = [
        (
            f'{loop} loop',
            f'{100 * trial.caught_share:.0f} %',
            f'in the cup; {1e6 * trial.spilled:.1f} ml beside it; '
            f'{1e6 * trial.volume_error:+.1f} ml from the target',
        )
        for loop, trial in trials.items()
    ]
    rows = [
        (
            loop, trial.state + (f': {trial.reason}' if trial.reason else ''),
            f'{1e6 * trial.poured:.1f}', f'{1e6 * trial.caught:.1f}', f'{1e6 * trial.spilled:.1f}',
            f'{1e6 * trial.volume_error:+.1f}', f'{trial.duration:.1f}',
            f'{trial.seen} of {trial.images}',
        )
        for loop, trial in trials.items()
    ]  # fmt: skip
    heads = ('loop', 'ended', 'poured ml', 'in the cup ml', 'beside it ml', 'from the target ml',
             'time s', 'images with liquid')  # fmt: skip
    sections = [
        header(headline(trials), known, cards),
        *([account_banner(account)] if account else []),
        *([_film(video)] if video else []),
        f'<section>{table("Both loops on the same trial", heads, rows)}</section>',
        *([account_section(account)] if account else []),
        '<section><div id="curves" role="img" '
        'aria-label="Curves of both loops over time"></div></section>',
        definitions(_DEFINITIONS),
    ]
    write_page(path, headline(trials), sections, {'curves': curves(moments)},
               _SCRIPT, _STYLE)  # fmt: skip


def headline(trials: Mapping[str, Trial]) -> str:
    """What came of it, in one line."""
    shares = [f'{loop} loop {100 * trial.caught_share:.0f} %' for loop, trial in trials.items()]
    return f'In the cup: {", ".join(shares)}'


def curves(moments: Mapping[str, Sequence[Moment]]) -> dict[str, Any]:
    """The figure: one panel a quantity, one line a loop, over one time axis."""
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=len(_PANELS), cols=1, shared_xaxes=True, vertical_spacing=0.05,
        subplot_titles=[title for title, _ in _PANELS],
    )  # fmt: skip
    for loop, told in moments.items():
        some = told[::EVERY]
        for row, (_, value) in enumerate(_PANELS, 1):
            figure.add_scatter(
                x=rounded([m.time for m in some], 3), y=rounded([value(m) for m in some], 2),
                name=f'{loop} loop', mode='lines', legendgroup=loop, showlegend=row == 1,
                line={'color': COLOURS.get(loop, GREY), 'width': 1.8,
                      'dash': 'solid' if loop == 'closed' else 'dash'},
                row=row, col=1,
            )  # fmt: skip
    figure.update_annotations(x=0, xanchor='left', font={'size': 13, 'color': INK})
    figure.update_xaxes(gridcolor=GRID, zeroline=False, tickfont={'color': GREY})
    figure.update_yaxes(gridcolor=GRID, zeroline=False, nticks=5, tickfont={'color': GREY})
    figure.update_xaxes(title={'text': 'time (s)'}, row=len(_PANELS))
    figure.update_layout(
        height=140 * len(_PANELS) + 60, paper_bgcolor=PAPER, plot_bgcolor=PAPER,
        margin={'l': 48, 'r': 12, 't': 76, 'b': 44}, font={'color': INK},
        legend={'orientation': 'h', 'y': 1.035, 'x': 0, 'yanchor': 'bottom'},
    )  # fmt: skip
    return as_dict(figure)


def _film(video: Path) -> str:
    data = base64.b64encode(video.read_bytes()).decode('ascii')
    return (
        '<section><video controls autoplay muted loop playsinline '
        f'src="data:video/mp4;base64,{data}"></video></section>'
    )


def _length(vector: Sequence[float]) -> float:
    return float(sum(v * v for v in vector)) ** 0.5
