# SPDX-License-Identifier: Apache-2.0
"""Frame to PourEstimate: the one object that nodes, replay, simulator and benchmarks call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .geometry import (
    Container,
    LiquidCloud,
    NoiseModel,
    NotEstimable,
    PinholeCamera,
    Pose,
    PourGeometry,
    lift_mask,
    measure_pour,
    pouring_plane,
)
from .geometry.plane import PlaneMode
from .geometry.region import Region, pour_region
from .perception.segmentation import Segmentation

NANOSECONDS = 1_000_000_000


class SegmenterLike(Protocol):
    """Anything that turns an image into presence, CAM and mask."""

    def segment(self, rgb: NDArray[np.uint8], region: Region | None = None) -> Segmentation:
        """Segment one image (H, W, 3) uint8 RGB; `region`: where alone liquid can be."""
        ...


@dataclass(frozen=True, eq=False)
class Frame:
    """One colour image with what was known at its stamp; None: not known.

    `color` (H, W, 3) uint8 RGB; `depth` (H, W) float32 m aligned to colour, 0 or NaN where
    unknown; poses as `T_a_b` with cam = colour optical frame, base = base frame (z up).
    `problem` says why a pose is missing.
    """

    stamp_ns: int
    name: str
    color: NDArray[np.uint8]
    camera: PinholeCamera
    depth: NDArray[np.float32] | None = None
    T_cam_source: Pose | None = None
    T_base_cam: Pose | None = None
    T_base_target: Pose | None = None
    problem: str = ''


@dataclass(frozen=True, eq=False)
class Observation:
    """What the camera side of the pipeline saw: the segmentation and its lifted cloud.

    `cloud` is empty without liquid, and where `problem` says why it could not be lifted.
    """

    stamp_ns: int
    name: str
    segmentation: Segmentation
    cloud: LiquidCloud
    problem: str = ''


@dataclass(frozen=True, eq=False)
class PourEstimate:
    """One frame's answer. No liquid: `present` is False and `geometry` is empty.

    `valid`: every quantity was estimated; else `reason` says what is missing and why.
    """

    stamp_ns: int
    name: str
    present: bool
    probability: float
    geometry: PourGeometry = field(default_factory=PourGeometry)
    reason: str = ''

    @property
    def valid(self) -> bool:
        """Whether distance, offset and margin are all there for a controller to use."""
        return self.present and not self.reason


class PourObserver:
    """The camera's half, node `liquid_perception`: image and source pose to lifted liquid.

    With a source pose only the part of the image in which the pour can show is looked at;
    `target`, with its pose in the frame, makes that part smaller.
    """

    def __init__(
        self,
        segmenter: SegmenterLike,
        source: Container,
        plane: PlaneMode = 'axis',
        noise: NoiseModel | None = None,
        target: Container | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.source = source
        self.target = target
        self.plane: PlaneMode = plane
        self.noise = noise or NoiseModel()

    def observe(self, frame: Frame) -> Observation:
        """Segment the image and lift the liquid."""
        return self.lift(frame, self.segment(frame))

    def segment(self, frame: Frame) -> Segmentation:
        """Segment the image, where the pour can show."""
        return self.segmenter.segment(frame.color, self.region(frame))

    def lift(self, frame: Frame, segmentation: Segmentation) -> Observation:
        """Lift the liquid of the segmented image."""
        return lift_frame(frame, segmentation, self.source, self.plane, self.noise)

    def region(self, frame: Frame) -> Region | None:
        """Where in the image the pour can show; None: anywhere, as far as the poses tell."""
        if frame.T_cam_source is None:
            return None
        T_cam_target, up = None, None
        if frame.T_base_cam is not None:
            up = frame.T_base_cam.rotation.T @ np.array([0.0, 0.0, 1.0])
            if frame.T_base_target is not None:
                T_cam_target = frame.T_base_cam.inverse() @ frame.T_base_target
        return pour_region(
            frame.camera, frame.T_cam_source, self.source, T_cam_target, self.target, up
        )


class PourEstimator:
    """The target's half, node `pour_monitor`: lifted liquid and target pose to distance."""

    def __init__(self, target: Container, noise: NoiseModel | None = None) -> None:
        self.target = target
        self.noise = noise or NoiseModel()

    def estimate(
        self, observation: Observation, T_base_cam: Pose | None, T_base_target: Pose | None
    ) -> PourEstimate:
        """Measure the lifted liquid against the target; says why where it cannot."""
        seen = observation.segmentation
        common = (observation.stamp_ns, observation.name, seen.present, seen.probability)
        if not seen.present:
            return PourEstimate(*common)
        if observation.problem or len(observation.cloud) == 0:
            reason = observation.problem or 'the liquid could not be lifted to 3D'
            return PourEstimate(*common, reason=reason)
        if T_base_cam is None:
            return PourEstimate(*common, reason='no camera pose in the base frame')
        geometry = measure_pour(
            observation.cloud, T_base_cam, self.target, T_base_target, self.noise
        )
        return PourEstimate(*common, geometry, '; '.join(geometry.problems))


class PourPipeline:
    """Image and poses in, distance out: both halves on one frame."""

    def __init__(
        self,
        segmenter: SegmenterLike,
        source: Container,
        target: Container,
        plane: PlaneMode = 'axis',
        noise: NoiseModel | None = None,
    ) -> None:
        self.observer = PourObserver(segmenter, source, plane, noise, target)
        self.estimator = PourEstimator(target, noise)

    def __call__(self, frame: Frame) -> tuple[Observation, PourEstimate]:
        """Run one frame through both halves."""
        observation = self.observer.observe(frame)
        estimate = self.estimator.estimate(observation, frame.T_base_cam, frame.T_base_target)
        return observation, estimate


def lift_frame(
    frame: Frame,
    segmentation: Segmentation,
    source: Container,
    plane: PlaneMode = 'axis',
    noise: NoiseModel | None = None,
) -> Observation:
    """Lift the liquid of a segmented frame onto the pouring plane."""
    cloud, problem = LiquidCloud.empty(), ''
    if segmentation.present:
        try:
            cloud = _lift(frame, segmentation, source, plane, noise)
        except NotEstimable as error:
            problem = error.reason
    return Observation(frame.stamp_ns, frame.name, segmentation, cloud, problem)


def _lift(
    frame: Frame,
    segmentation: Segmentation,
    source: Container,
    mode: PlaneMode,
    noise: NoiseModel | None,
) -> LiquidCloud:
    if frame.T_cam_source is None:
        raise NotEstimable(frame.problem or 'no source pose')
    if frame.T_base_cam is None:
        raise NotEstimable(frame.problem or 'no camera pose in the base frame')
    up = frame.T_base_cam.rotation.T @ np.array([0.0, 0.0, 1.0])
    plane = pouring_plane(frame.T_cam_source, source, up, mode, noise)
    return lift_mask(segmentation.mask, segmentation.cam, frame.camera, plane, frame.depth)
