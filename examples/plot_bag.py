# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure a recorded pour, and plot distance and margin over time.

python examples/plot_bag.py my_bag --out pour.html --base-frame fr3_link0 \
    --source-frame bottle --target-frame cup

Without frames the poses are taken from PoseStamped topics.
"""

import argparse

import plotly.graph_objects as go

from pourit_ros import Container, PourPipeline, Segmenter
from pourit_ros.bags.reader import BagReader
from pourit_ros.sync.assembler import AssemblerOptions


def millimetres(metres: float | None) -> float | None:
    """None where nothing could be measured: a gap in the curve, never a zero."""
    return None if metres is None else 1000 * metres


def main() -> None:
    parser = argparse.ArgumentParser(description='Plot a recorded pour.')
    parser.add_argument('bag')
    parser.add_argument('--out', required=True, help='an HTML file')
    parser.add_argument('--base-frame', default='base')
    parser.add_argument('--source-frame', default='')
    parser.add_argument('--target-frame', default='')
    arguments = parser.parse_args()

    pipeline = PourPipeline(
        Segmenter('default'), Container.load('pourit_bottle'), Container.load('cup')
    )
    options = AssemblerOptions(
        base_frame=arguments.base_frame,
        source_frame=arguments.source_frame,
        target_frame=arguments.target_frame,
    )
    with BagReader(arguments.bag) as bag:
        estimates = [pipeline(frame)[1] for frame in bag.frames(options)]

    seconds = [(e.stamp_ns - estimates[0].stamp_ns) / 1e9 for e in estimates]
    figure = go.Figure()
    for name in ('distance', 'margin'):
        values = [millimetres(getattr(e.geometry, name)) for e in estimates]
        figure.add_scatter(x=seconds, y=values, name=name)
    figure.update_layout(xaxis_title='time (s)', yaxis_title='mm')
    figure.write_html(arguments.out)
    print(f'{len(estimates)} frames, {sum(e.valid for e in estimates)} measured: {arguments.out}')


if __name__ == '__main__':
    main()
