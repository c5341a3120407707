# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""liquid_perception: from camera images to mask, CAM, probability and 3D points."""

from __future__ import annotations

import time
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, get_args, runtime_checkable

import numpy as np

from ..containers import SeenContainer
from ..geometry import Container, NotEstimable, PinholeCamera, PouringPlane, lift_mask
from ..geometry.plane import PlaneMode
from ..messages.camera_info import is_rectified
from ..messages.contract import PERCEPTION, perception_messages
from ..messages.errors import MessageError
from ..perception.devices import DEVICES
from ..pipeline import Frame, PourObserver, SegmenterLike
from ..sync.assembler import AssemblerOptions, FrameAssembler
from ..sync.poses import ContainerRole
from .parameters import BASE_FRAME, POSE_TOLERANCE, TARGET_FRAME, Parameter
from .qos import DEPTH_DEPTH, IMAGE_DEPTH, POSE_DEPTH
from .switch import SwitchedNode
from .tf import subscribe_tf

if TYPE_CHECKING:
    from ..perception.metadata import WeightsMetadata
    from ..perception.segmenter import Thresholds

PARAMETERS = (
    Parameter('weights', 'default', 'Weights file, or the name of installed weights.'),
    Parameter('device', 'auto', 'Where the model runs.', choices=DEVICES),
    Parameter('threads', 0, 'CPU threads of the model; 0: one for each core.', high=256),
    Parameter(
        'presence_threshold',
        0.0,
        "Probability above which liquid is present; 0: use the weights' threshold.",
        high=1.0,
        dynamic=True,
    ),
    Parameter(
        'mask_threshold',
        0.0,
        "Activation above which a pixel is liquid; 0: use the weights' threshold.",
        high=1.0,
        dynamic=True,
    ),
    Parameter(
        'source',
        'pourit_bottle',
        'Source container: a name in containers.yaml, or a YAML file.',
        dynamic=True,
    ),
    Parameter(
        'target',
        'cup',
        'Target container: its pose bounds where liquid can be; name or file as for source.',
        dynamic=True,
    ),
    Parameter(
        'plane',
        'axis',
        "Pouring plane through the container's axis, or normal to its z axis as in PourIt!.",
        choices=get_args(PlaneMode),
    ),
    Parameter(
        'source_frame',
        '',
        'TF frame of the source container; empty: use topic source_pose.',
        dynamic=True,
    ),
    TARGET_FRAME,
    BASE_FRAME,
    POSE_TOLERANCE,
    Parameter('wait', 0.15, 'How long an image waits for late depth and poses, s.', high=2.0),
    Parameter(
        'image_transport',
        'raw',
        'raw: color/image; compressed: color/image/compressed.',
        choices=('raw', 'compressed'),
    ),
    Parameter(
        'depth_image_transport',
        'raw',
        'raw: depth/image; else depth/image/compressed or depth/image/compressedDepth.',
        choices=('raw', 'compressed', 'compressedDepth'),
    ),
    Parameter('use_depth', True, 'Use depth/image where it is published.'),
    Parameter(
        'depth_slop', 0.017, 'Greatest time between an image and its depth image, s.', high=1.0
    ),
)


@runtime_checkable
class _WithThresholds(SegmenterLike, Protocol):
    """A segmenter whose thresholds can be set."""

    metadata: WeightsMetadata
    thresholds: Thresholds


def _containers(observer: PourObserver) -> Iterator[tuple[ContainerRole, Container]]:
    yield 'source', observer.source
    if observer.target is not None:
        yield 'target', observer.target


class LiquidPerception(SwitchedNode[tuple[Frame, str, int]]):
    """Segments the newest complete frame; one worker thread owns the model.

    Callbacks only fill the assembler, so that an image never waits behind an inference: while the
    worker is busy, newer images replace older ones, and every drop is counted.
    """

    # While configured.
    _observer: PourObserver

    def __init__(self) -> None:
        super().__init__('liquid_perception', PARAMETERS)
        self._assembler = FrameAssembler()

    def configure(self) -> None:
        """Load the weights, warm the model up and advertise."""
        source, target = (Container.load(self.value(role)) for role in ('source', 'target'))
        weights, device, threads = (self.value(p) for p in ('weights', 'device', 'threads'))
        with self.interruptible():
            try:
                from ..perception import Segmenter
            except ModuleNotFoundError as error:
                raise ValueError(
                    f'{error.name} is not installed: pip install {error.name}'
                ) from None
            segmenter = Segmenter(weights, device, threads or None)
            _warm_up(segmenter)
        self._observer = PourObserver(segmenter, source, self.value('plane'), target=target)
        self._set_thresholds({})
        self.advertise_contract(PERCEPTION)
        self.health.fact('weights', self.value('weights'))
        self.health.fact('device', segmenter.device)

    def activate(self) -> None:
        """Subscribe and start the worker."""
        super().activate()
        color = image_topic('color/image', self.value('image_transport'))
        resolved = self.resolve_topic_name(color[1])
        if rectified := is_rectified(resolved):
            self.get_logger().info(
                f'{resolved} is rectified, judging by its name: using P of its camera info, not D'
            )
        self._assembler = FrameAssembler(
            AssemblerOptions(
                source_frame=self.value('source_frame'),
                target_frame=self.value('target_frame'),
                base_frame=self.value('base_frame'),
                pose_tolerance=self.value('pose_tolerance'),
                depth_slop=self.value('depth_slop'),
                wait=self.value('wait'),
                rectified=rectified,
                use_depth=self.value('use_depth'),
                mouths={role: container.mouth for role, container in _containers(self._observer)},
            )
        )
        assembler, feed = self._assembler, self.feed
        pose, info = 'geometry_msgs/msg/PoseStamped', 'sensor_msgs/msg/CameraInfo'
        self.subscribe(info, 'color/camera_info', partial(feed, assembler.info), IMAGE_DEPTH)
        for role in ('source', 'camera', 'target'):
            self.subscribe(
                pose, f'{role}_pose', partial(feed, assembler.poses.pose, role), POSE_DEPTH
            )
        subscribe_tf(self, partial(feed, assembler.poses.transforms))
        if self.value('use_depth'):
            topic = image_topic('depth/image', self.value('depth_image_transport'))
            self.subscribe(*topic, partial(feed, assembler.depth), DEPTH_DEPTH)
        self.subscribe(*color, self._on_color, IMAGE_DEPTH, required=True)
        self.worker.start()

    def deactivate(self) -> None:
        """Let the worker finish its frame and end."""
        self.worker.stop()

    def cleanup(self) -> None:
        """Free the model."""
        if hasattr(self, '_observer'):
            del self._observer

    def change(self, values: dict[str, Any]) -> None:
        """Change thresholds, containers or frames, from the next image on."""
        # A copy: the image in work keeps the containers that it began with.
        observer = copy(self._observer)
        if 'source' in values:
            observer.source = Container.load(values['source'])
        if 'target' in values:
            observer.target = Container.load(values['target'])
        self._observer = observer
        self._set_thresholds(values)
        with self.worker.lock:
            poses = self._assembler.poses
            for role, container in _containers(observer):
                poses.watch(role, container.mouth)
                if (frame := values.get(f'{role}_frame')) is not None:
                    poses.follow(role, frame)

    def _set_thresholds(self, values: dict[str, Any]) -> None:
        """Set the thresholds of the parameters, with the new `values`."""
        segmenter = self._observer.segmenter
        assert isinstance(segmenter, _WithThresholds), 'loaded by configure'
        presence, mask = (
            values.get(name, self.value(name)) for name in ('presence_threshold', 'mask_threshold')
        )
        own = segmenter.metadata
        segmenter.thresholds = segmenter.thresholds._replace(
            presence=presence or own.presence_threshold, mask=mask or own.mask_threshold
        )

    def forget(self, poses: bool) -> None:
        """See SwitchedNode."""
        self._assembler.reset(poses)

    def _on_color(self, message: Any) -> None:
        if not self.enabled:
            return
        self.health.received()
        with self.health.timed('receive'):
            self.feed(self._assembler.color, message)

    def take(self) -> tuple[Frame, str, int] | None:
        """The newest complete frame, its frame_id and epoch."""
        try:
            frame = self._assembler.take(time.monotonic_ns())
        except MessageError as error:
            self.health.problem(str(error))
            self._tell_losses()
            return None
        return None if frame is None else (frame, self._assembler.color_frame_id, self.epoch)

    def answer(self, item: tuple[Frame, str, int]) -> None:
        """Segment and lift a frame."""
        (frame, frame_id, epoch), observer = item, self._observer
        with self.health.timed('segment'):
            segmentation = observer.segment(frame)
        with self.health.timed('lift'):
            observation = observer.lift(frame, segmentation)
        if self.wanted('source_pose_seen'):
            observation = replace(observation, source=self._find_source(observer, frame))
        with self.answering, self.health.timed('publish'):
            if epoch != self.epoch:
                return
            messages = perception_messages(
                observation, frame.color, frame_id, self.wanted, self.value('base_frame')
            )
            for name, fields in messages:
                self.send(name, fields)
        if problem := frame.problem or observation.problem or frame.depth_problem:
            self.health.problem(problem)
        self.health.answered(frame.stamp_ns)
        with self.worker.lock:
            self._tell_losses()

    def _find_source(self, observer: PourObserver, frame: Frame) -> SeenContainer | None:
        with self.health.timed('find source'):
            try:
                seen = observer.find_source(frame)
            except NotEstimable as error:
                self.health.fact('source in depth', error.reason)
                return None
        self.health.fact('source in depth', f'{100 * seen.covered:.0f} % of it')
        return seen

    def _tell_losses(self) -> None:
        """Report the assembler's drops and the skew of companions; with the lock held."""
        for cause, count in self._assembler.drops.items():
            self.health.fact(f'dropped: {cause}', count)
        for companion, skew in self._assembler.skew_ns.items():
            self.health.fact(f'skew of {companion} (ms)', f'{skew * 1e-6:.1f}')


def image_topic(topic: str, transport: str) -> tuple[str, str]:
    """Type and name of an image's topic, as image_transport names it."""
    if transport == 'raw':
        return 'sensor_msgs/msg/Image', topic
    return 'sensor_msgs/msg/CompressedImage', f'{topic}/{transport}'


def _warm_up(segmenter: SegmenterLike) -> None:
    """Run a first pass now, since its allocations and imports take ten times as long."""
    segmenter.segment(np.zeros((480, 640, 3), np.uint8))
    mask = np.zeros((64, 64), np.bool_)
    mask[8:56, 30:34] = True
    forward, up = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])
    plane = PouringPlane(forward, forward, up, np.eye(2))
    lift_mask(mask, mask.astype(np.float32), PinholeCamera(64, 64, 60, 60, 32, 32), plane)
