# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Frame to PourEstimate: the one object that nodes, replay, simulator and benchmarks call."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .containers import SeenContainer, find_container
from .errors import InputError
from .formats.calibration import read_camera, read_depth, read_pose
from .formats.images import read_image
from .geometry import (
    Container,
    FlowModel,
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
from .geometry.reach import implausible
from .geometry.region import Region, pour_region
from .perception.segmentation import Segmentation

NANOSECONDS = 1_000_000_000


class SegmenterLike(Protocol):
    """Anything that turns an image into presence, CAM and mask."""

    def segment(self, rgb: NDArray[np.uint8], region: Region | None = None) -> Segmentation:
        """Segment one image (H, W, 3) uint8 RGB; `region`: the only part where liquid can be."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """One colour image with what is known at its stamp; None: unknown.

    Only `color` and `camera` are needed; without poses there is a mask and no distance. Poses are
    `T_a_b`, which map points of frame b into frame a: cam is the colour camera's optical frame (x
    right, y down, z forward), base the base frame (z up), source and target the containers' own.
    Raises InputError when image, camera and depth differ in size.

    >>> import numpy as np
    >>> from pourit_ros import PinholeCamera
    >>> camera = PinholeCamera(width=640, height=480, fx=600, fy=600, cx=319.5, cy=239.5)
    >>> Frame(np.zeros((480, 640, 3), np.uint8), camera, name='first')
    <Frame 'first' of 640x480: no depth, no poses>
    """

    color: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    camera: PinholeCamera
    """Intrinsics of `color`."""
    _: KW_ONLY
    depth: NDArray[np.float32] | None = None
    """(H, W) m, aligned to `color`; 0 or NaN where unknown."""
    T_cam_source: Pose | None = None
    """Pose of the source in the camera's frame."""
    T_base_cam: Pose | None = None
    """Pose of the camera in the base frame."""
    T_base_target: Pose | None = None
    """Pose of the target in the base frame."""
    stamp_ns: int = 0
    """Time at which `color` was taken, ns."""
    name: str = ''
    """Names the frame in tables and files."""
    problem: str = ''
    """Why a pose is missing; the same cause has the same words, so that causes can be counted."""
    depth_problem: str = ''
    """Why depth is missing, if there are depth images at all."""

    def __post_init__(self) -> None:
        """Raise InputError unless image, camera and depth have the same size."""
        color, size = self.color, (self.camera.height, self.camera.width)
        if color.dtype != np.uint8 or color.ndim != 3 or color.shape[2] != 3:
            raise InputError(
                f'{self._called}: color is {color.dtype} {color.shape}, '
                'expected a uint8 RGB image (H, W, 3)'
            )
        if color.shape[:2] != size:
            raise InputError(
                f'{self._called}: the camera is of {size[1]}x{size[0]}, the image is '
                f'{color.shape[1]}x{color.shape[0]}; PinholeCamera.resize and .crop follow it'
            )
        if self.depth is not None and self.depth.shape != size:
            raise InputError(
                f'{self._called}: depth is {self.depth.shape}, expected {size}: align it to color'
            )

    def __repr__(self) -> str:
        poses = [n for n in ('T_cam_source', 'T_base_cam', 'T_base_target') if getattr(self, n)]
        return (
            f'<Frame {self.name!r} of {self.camera.width}x{self.camera.height}: '
            f'{"depth" if self.depth is not None else "no depth"}, '
            f'{", ".join(poses) or "no poses"}>'
        )

    @property
    def _called(self) -> str:
        return f'frame {self.name}' if self.name else 'frame'

    @classmethod
    def from_files(
        cls,
        color: str | Path,
        camera: str | Path | PinholeCamera,
        *,
        depth: str | Path | None = None,
        T_cam_source: str | Path | Pose | None = None,
        T_base_cam: str | Path | Pose | None = None,
        T_base_target: str | Path | Pose | None = None,
        T_cam_target: str | Path | Pose | None = None,
        stamp_ns: int = 0,
        name: str | None = None,
    ) -> Frame:
        """Read a frame from files; a camera or poses may also be given as objects.

        color: an image. camera: a text file of the 3x3 matrix K, px, or a .yaml file of ROS's
        camera_calibration. depth: a 16 bit image, mm, aligned to colour. Poses: text files of 4x4
        matrices, m; the target's in the base frame or, with `T_base_cam`, in the camera's. name:
        by default the image's, without suffix.

        Raises InputError, which names the file. A whole folder in PourIt!'s layout is read by
        `pourit_ros.formats.scenes.load_pourit_scene`.

        >>> frame = Frame.from_files('scene/000001_rgb.png', 'scene/000001_camK.txt')
        >>> frame
        <Frame '000001_rgb' of 640x480: no depth, no poses>
        """
        image = read_image(color)
        height, width = image.shape[:2]
        if not isinstance(camera, PinholeCamera):
            camera = read_camera(camera, width, height)
        eye, source, target, seen = (
            pose if pose is None or isinstance(pose, Pose) else read_pose(pose)
            for pose in (T_base_cam, T_cam_source, T_base_target, T_cam_target)
        )
        if seen is not None:
            if target is not None:
                raise InputError(f'{color}: give T_base_target or T_cam_target, not both')
            if eye is None:
                raise InputError(f'{color}: T_cam_target needs T_base_cam')
            target = eye @ seen
        return cls(
            image,
            camera,
            depth=None if depth is None else read_depth(depth, width, height),
            T_cam_source=source,
            T_base_cam=eye,
            T_base_target=target,
            stamp_ns=stamp_ns,
            name=Path(color).stem if name is None else name,
        )


@dataclass(frozen=True, eq=False)
class Observation:
    """What the camera side of the pipeline saw: the segmentation and its lifted cloud.

    `cloud` is empty without liquid, or where the liquid could not be lifted; then `problem` says
    why. `has_depth`: there was a depth image at the frame's stamp, aligned to colour. `source`: as
    that depth image shows it, in the base frame, where it was looked for and found.
    """

    stamp_ns: int
    name: str
    segmentation: Segmentation
    cloud: LiquidCloud
    problem: str = ''
    has_depth: bool = False
    source: SeenContainer | None = None


@dataclass(frozen=True, eq=False)
class PourEstimate:
    """The result of one frame. Without liquid `present` is False and `geometry` is empty.

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
        """Whether distance, offset and margin are all available to a controller."""
        return self.present and not self.reason


class PourObserver:
    """The camera's half, node `liquid_perception`: image and source pose to lifted liquid.

    With a source pose, only the part of the image where the pour can be visible is searched;
    `target`, with its pose in the frame, narrows that part.
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
        """Segment the part of the image where the pour can be visible."""
        return self.segmenter.segment(frame.color, self.region(frame))

    def lift(self, frame: Frame, segmentation: Segmentation) -> Observation:
        """Lift the liquid of the segmented image."""
        return lift_frame(frame, segmentation, self.source, self.plane, self.noise)

    def find_source(self, frame: Frame) -> SeenContainer:
        """Find the source in the depth image, in the base frame: a bottle slips in the gripper.

        Raises NotEstimable, which says what is missing or why it cannot be found.
        """
        if frame.depth is None:
            raise NotEstimable(frame.depth_problem or 'no depth image')
        T_cam_source, T_base_cam = _poses(frame, self.source)
        return find_container(frame.depth, frame.camera, self.source, T_cam_source).seen_from(
            T_base_cam
        )

    def region(self, frame: Frame) -> Region | None:
        """Part of the image where the pour can be visible; None: anywhere."""
        if frame.T_cam_source is None or implausible('source', self.source, frame.T_cam_source):
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

    def __init__(
        self,
        target: Container,
        noise: NoiseModel | None = None,
        flow_model: FlowModel | None = None,
    ) -> None:
        self.target = target
        self.noise = noise or NoiseModel()
        self.flow_model = flow_model or FlowModel()

    def estimate(
        self, observation: Observation, T_base_cam: Pose | None, T_base_target: Pose | None
    ) -> PourEstimate:
        """Measure the lifted liquid against the target, with a reason where it cannot."""
        seen = observation.segmentation
        common = (observation.stamp_ns, observation.name, seen.present, seen.probability)
        if not seen.present:
            return PourEstimate(*common)
        if observation.problem or len(observation.cloud) == 0:
            reason = observation.problem or 'the liquid could not be lifted to 3D'
            return PourEstimate(*common, reason=reason)
        if T_base_cam is None:
            return PourEstimate(*common, reason='no camera pose in the base frame')
        if T_base_target is not None:
            T_cam_target = T_base_cam.inverse() @ T_base_target
            if problem := implausible('target', self.target, T_cam_target):
                return PourEstimate(*common, reason=problem)
        geometry = measure_pour(
            observation.cloud, T_base_cam, self.target, T_base_target, self.noise, self.flow_model
        )
        return PourEstimate(*common, geometry, '; '.join(geometry.problems))


class PourPipeline:
    """Image and poses in, distance out: both halves on one frame.

    segmenter: a `Segmenter`, or anything with its `segment`. source, target: the containers.
    plane: where the source's pose puts the pouring plane that the mask is lifted onto (see
    `geometry.plane.PlaneMode`). noise: of the poses, for the covariances. flow_model: how masks
    show a stream's width, for the flow.

    Called with a `Frame`, it returns an `Observation` (segmentation and lifted cloud) and a
    `PourEstimate`: landing point, offset and distance in the base frame, m, from the free fall
    fitted to the cloud, and the flow, m³/s. A quantity that cannot be measured has a `reason`
    instead of raising. The lift is that of PourIt! (Lin et al., ICCV 2023); the fit is described
    in docs/geometry.md, the flow in docs/flow.md.

    >>> from pourit_ros import Container, Segmenter
    >>> from pourit_ros.formats.scenes import load_pourit_scene
    >>> pipeline = PourPipeline(
    ...     Segmenter(), Container.load('pourit_bottle'), Container.load('cup')
    ... )
    >>> for frame in load_pourit_scene('scene'):
    ...     observation, estimate = pipeline(frame)
    ...     distance = estimate.geometry.distance
    ...     print(estimate.reason if distance is None else 0.0 < distance < 0.5)
    True
    """

    def __init__(
        self,
        segmenter: SegmenterLike,
        source: Container,
        target: Container,
        plane: PlaneMode = 'axis',
        noise: NoiseModel | None = None,
        flow_model: FlowModel | None = None,
    ) -> None:
        self.observer = PourObserver(segmenter, source, plane, noise, target)
        self.estimator = PourEstimator(target, noise, flow_model)

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
    return Observation(
        frame.stamp_ns, frame.name, segmentation, cloud, problem, frame.depth is not None
    )


def _lift(
    frame: Frame,
    segmentation: Segmentation,
    source: Container,
    mode: PlaneMode,
    noise: NoiseModel | None,
) -> LiquidCloud:
    T_cam_source, T_base_cam = _poses(frame, source)
    up = T_base_cam.rotation.T @ np.array([0.0, 0.0, 1.0])
    plane = pouring_plane(T_cam_source, source, up, mode, noise)
    return lift_mask(segmentation.mask, segmentation.cam, frame.camera, plane, frame.depth)


def _poses(frame: Frame, source: Container) -> tuple[Pose, Pose]:
    """The source's and the camera's pose; raises NotEstimable."""
    if frame.T_cam_source is None:
        raise NotEstimable(frame.problem or 'no source pose')
    if frame.T_base_cam is None:
        raise NotEstimable(frame.problem or 'no camera pose in the base frame')
    if problem := implausible('source', source, frame.T_cam_source):
        raise NotEstimable(problem)
    return frame.T_cam_source, frame.T_base_cam
