# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What sees the pour in the cell: the package's perception, or the truth with noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..control.sighting import Sighting
from ..geometry import NotEstimable, Pose
from ..pipeline import Frame, Observation, PourEstimate, PourPipeline, SegmenterLike
from ..report.overlay import overlay
from .cell import Cell

NANOSECONDS = 1e9
# How the network's masks err at 320x240, measured in the cell (docs/simulation.md): the flow that
# every other image shows, how steeply that grows, and images that show a flow without one.
SEEN_HALF, SEEN_STEEP, FALSE = 3.0e-6, 3.0, 0.04
# Noise of the offset, m, and how far off a whole trial may be.
OFFSET_NOISE, OFFSET_BIAS = 0.003, 0.004
# Flows are told about this one, m3/s, whatever flows; logarithmic errors of a trial and an image.
FLOW_TOLD, FLOW_GROWS, FLOW_BIAS, FLOW_NOISE = 7e-6, 0.15, 0.35, 0.27
# Errors of the source as depth shows it, rad and m: of a whole trial, and of an image.
TURN_BIAS, TURN_NOISE, PLACE_NOISE = 0.004, 0.004, 0.002
FLOW_STATED = 1.5
"""Stated deviation of the flow, as a share of it."""


class Eyes(Protocol):
    """Anything that looks at the cell and tells the controller what it saw."""

    def look(self, cell: Cell) -> Sighting:
        """What is seen of the present moment; its stamp is the cell's time."""
        ...


class PerceptionEyes:
    """The pipeline of the nodes on the cell's images, with reported poses: no way to the truth.

    segmenter: as `PourPipeline` takes it. After `look`, `frame`, `observation` and `estimate` are
    those of the last image, for videos.
    """

    def __init__(self, segmenter: SegmenterLike) -> None:
        self.segmenter = segmenter
        self.frame: Frame | None = None
        self.observation: Observation | None = None
        self.estimate: PourEstimate | None = None
        self._pipeline: PourPipeline | None = None

    def look(self, cell: Cell) -> Sighting:
        """Take an image and measure it."""
        pipeline = self._pipeline
        if pipeline is None or pipeline.estimator.target is not cell.target:
            pipeline = self._pipeline = PourPipeline(self.segmenter, cell.source, cell.target)
        color, depth = cell.observe()
        T_base_cam = cell.reported_cam()
        frame = Frame(
            color,
            cell.camera,
            depth=depth,
            T_cam_source=T_base_cam.inverse() @ cell.reported_source(),
            T_base_cam=T_base_cam,
            T_base_target=cell.reported_target(),
            stamp_ns=round(cell.time * NANOSECONDS),
            name=f'{cell.time:.3f}',
        )
        self.frame = frame
        self.observation, self.estimate = pipeline(frame)
        return replace(sighting_of(self.estimate), source=_seen(pipeline, frame))

    def view(self, _: float) -> NDArray[np.uint8] | None:
        """The last image (H, W, 3) RGB with its mask."""
        if self.frame is None or self.observation is None:
            return None
        return overlay(self.frame.color, self.observation.segmentation)


def _seen(pipeline: PourPipeline, frame: Frame) -> Pose | None:
    """The source as the depth image shows it."""
    try:
        return pipeline.observer.find_source(frame).pose
    except NotEstimable:
        return None


def view_of(eyes: Eyes) -> Callable[[float], NDArray[np.uint8] | None] | None:
    """What shows the images of the eyes; None for those that take none."""
    return eyes.view if isinstance(eyes, PerceptionEyes) else None


def sighting_of(estimate: PourEstimate) -> Sighting:
    """What an estimate tells the controller."""
    geometry = estimate.geometry
    valid = estimate.present and geometry.offset is not None
    return Sighting(
        stamp=estimate.stamp_ns / NANOSECONDS,
        present=estimate.present,
        offset=geometry.offset if valid else None,
        covariance=geometry.offset_covariance if valid else None,
        flow=geometry.flow,
        flow_sigma=geometry.flow_sigma,
    )


class TrueEyes:
    """The truth with the errors that the network's masks have: to try the controller, fast."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng((seed, 5))
        self._offset_bias = OFFSET_BIAS * self._rng.standard_normal(2)
        self._flow_bias = float(np.exp(FLOW_BIAS * self._rng.standard_normal()))
        self._turn_bias = TURN_BIAS * self._rng.standard_normal(3)

    def look(self, cell: Cell) -> Sighting:
        """What perception might say."""
        chance, (x, y, shake) = self._rng.random(), self._rng.standard_normal(3)
        landing, flow = cell.landing, cell.flow
        seen = 1 / (1 + (SEEN_HALF / max(flow, 1e-9)) ** SEEN_STEEP)
        source = self._source(cell)
        if landing is None:
            return Sighting(cell.time, bool(chance < FALSE), source=source)
        if chance > seen:
            return Sighting(cell.time, False, source=source)
        offset = landing - cell.target.mouth_in(cell.T_base_target)
        offset[:2] += self._offset_bias + OFFSET_NOISE * np.array([x, y])
        sigma = np.hypot(OFFSET_NOISE, OFFSET_BIAS)
        covariance = np.diag([sigma**2, sigma**2, 1e-8])
        told = FLOW_TOLD * self._flow_bias * (flow / FLOW_TOLD) ** FLOW_GROWS
        told *= float(np.exp(FLOW_NOISE * shake))
        return Sighting(cell.time, True, offset, covariance, told, FLOW_STATED * told, source)

    def _source(self, cell: Cell) -> Pose:
        """The source as depth might show it, by a camera that is believed elsewhere."""
        shake = self._rng.standard_normal(6)
        seen = cell.reported_cam() @ cell.T_base_cam.inverse() @ cell.T_base_source
        return seen.perturbed(PLACE_NOISE * shake[:3], self._turn_bias + TURN_NOISE * shake[3:])
