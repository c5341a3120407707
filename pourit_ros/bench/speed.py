# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure latency and memory beside the published network."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import Container
from ..perception.published_network import PublishedNetwork
from ..perception.segmentation import ImageRegion, Segmentation
from ..perception.segmenter import Segmenter
from ..perception.weights import PUBLISHED
from ..pipeline import PourObserver, PourPipeline
from ..synth.sets.sequence import PourFrame, pour_sequence

SIDE = 480
WARM_UP = 3


@dataclass(frozen=True)
class Speed:
    """Medians and 95 % quantiles in ms, of one 480 x 480 frame each.

    `frame`: segmenting the whole image; `roi`: only its region around mouths and fall, as the
    pipeline does when it knows the source's pose; `overhead`: the pipeline without segmentation,
    from poses and mask to distance; `published`: the network of PourIt! as its live demo runs it
    (two mirrored passes, random weights), read by the same `Segmenter`. `ratio`: published / roi.
    `rss_mb`: resident memory of the process, MiB, before that network is created. `backend` and
    `threads`: of the measured network.
    """

    frame_ms_p50: float
    frame_ms_p95: float
    roi_ms_p50: float
    overhead_ms_p50: float
    published_ms_p50: float
    ratio: float
    rss_mb: float
    backend: str
    threads: int

    def summary(self) -> dict[str, Any]:
        """Figures of a report, rounded."""
        return {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(self).items()}


class _Given:
    """Returns a known mask, at no cost."""

    def __init__(self, segmentation: Segmentation) -> None:
        self._segmentation = segmentation

    def segment(self, rgb: Any, region: ImageRegion | None = None) -> Segmentation:
        return self._segmentation


def measure_speed(weights: str | Path, threads: int, frames: int) -> Iterator[Speed | None]:
    """Time all in turn, so that a busy machine slows them equally; yields None for each round.

    The last item is the result. Sets torch's threads for the whole process; runs on Linux. Raises
    WeightsError.
    """
    # After the perception package, which says how its threads wait.
    import torch

    segmenter = Segmenter(weights, 'cpu', threads)
    source, target = Container.load('pourit_bottle'), Container.load('cup')
    pour = _wet_frame()
    frame = pour.frame
    region = PourObserver(segmenter, source, target=target).region(frame)
    assert region is not None
    mask = pour.coverage > 0.5
    pipeline = PourPipeline(
        _Given(Segmentation(1.0, True, pour.coverage.astype(np.float32), mask)), source, target
    )
    runs: dict[str, Callable[[], Any]] = {
        'frame': lambda: segmenter.segment(frame.color),
        'roi': lambda: segmenter.segment(frame.color, region),
        'overhead': lambda: pipeline(frame),
    }
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    rss = _resident_mb()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    published = Segmenter.from_model(PublishedNetwork(), PUBLISHED, 'cpu')
    runs['published'] = lambda: published.segment(frame.color)
    runs['published']()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(frames):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - start))
        yield None
    median = {name: float(np.median(values)) for name, values in times.items()}
    yield Speed(
        frame_ms_p50=median['frame'],
        frame_ms_p95=float(np.quantile(times['frame'], 0.95)),
        roi_ms_p50=median['roi'],
        overhead_ms_p50=median['overhead'],
        published_ms_p50=median['published'],
        ratio=median['published'] / median['roi'],
        rss_mb=rss,
        backend=segmenter.backend_name,
        threads=threads,
    )


def _wet_frame() -> PourFrame:
    """The rendered frame with the most liquid."""
    return max(pour_sequence(rate=1.0, size=(SIDE, SIDE)), key=lambda p: float(p.coverage.sum()))


def _resident_mb() -> float:
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20
