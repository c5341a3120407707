# SPDX-License-Identifier: Apache-2.0
"""liquid_perception: camera images in; mask, CAM, probability and 3D points out."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any, get_args

import numpy as np

from ..frames import AssemblerOptions, FrameAssembler
from ..geometry import Container, PinholeCamera, PouringPlane, lift_mask
from ..geometry.plane import PlaneMode
from ..messages.contract import PERCEPTION, perception_messages
from ..messages.errors import MessageError
from ..pipeline import Frame, PourObserver, SegmenterLike
from .parameters import BASE_FRAME, POSE_TOLERANCE, TARGET_FRAME, Parameter
from .qos import DEPTH_DEPTH, IMAGE_DEPTH, POSE_DEPTH
from .switch import SwitchedNode
from .tf import subscribe_tf
from .worker import Worker

PARAMETERS = (
    Parameter('weights', 'default', 'Weights file, or the name of one that is installed.'),
    Parameter('device', 'auto', 'Where the model runs.', choices=('auto', 'cpu', 'cuda')),
    Parameter('threads', 0, 'CPU threads of the model; 0: as many as torch takes.', high=256),
    Parameter(
        'presence_threshold',
        0.0,
        "Probability above which there is liquid; 0: the weights' own.",
        high=1.0,
        dynamic=True,
    ),
    Parameter(
        'mask_threshold',
        0.0,
        "Activation above which a pixel is liquid; 0: the weights' own.",
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
        'Target container: with its pose it bounds where liquid can be; as for source.',
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
        "The source container's TF frame; empty: topic source_pose.",
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
        'raw: depth/image; else depth/image/compressed or depth/image/compressedDepth, PNG.',
        choices=('raw', 'compressed', 'compressedDepth'),
    ),
    Parameter('use_depth', True, 'Use depth/image where it comes.'),
    Parameter('depth_slop', 0.017, 'How far depth may be from its image in time, s.', high=1.0),
)


class LiquidPerception(SwitchedNode):
    """Segments the newest complete frame; one worker thread owns the model.

    Callbacks only fill the assembler, so that an image never waits behind an inference: while the
    worker is busy newer images replace older ones, and every drop is counted.
    """

    def __init__(self) -> None:
        super().__init__('liquid_perception', PARAMETERS)
        self._observer: PourObserver | None = None
        self._worker: Worker[tuple[Frame, str]] | None = None
        self._assembler = FrameAssembler()

    def configure(self) -> None:
        """Load the weights, warm the model up and advertise."""
        try:
            from ..perception import Segmenter
        except ModuleNotFoundError as error:
            raise ValueError(f'{error.name} is not installed: pip install {error.name}') from None
        source, target = (Container.load(self.value(role)) for role in ('source', 'target'))
        segmenter = Segmenter.load(
            self.value('weights'), self.value('device'), self.value('threads') or None
        )
        _warm_up(segmenter)
        self._observer = PourObserver(segmenter, source, self.value('plane'), target=target)
        self._set_thresholds({})
        self.advertise_contract(PERCEPTION)
        self.health.fact('weights', self.value('weights'))
        self.health.fact('device', segmenter.device)

    def activate(self) -> None:
        """Subscribe and start the worker."""
        super().activate()
        observer = self._observer
        assert observer is not None
        self._assembler = FrameAssembler(
            AssemblerOptions(
                source_frame=self.value('source_frame'),
                target_frame=self.value('target_frame'),
                base_frame=self.value('base_frame'),
                pose_tolerance=self.value('pose_tolerance'),
                depth_slop=self.value('depth_slop'),
                wait=self.value('wait'),
                use_depth=self.value('use_depth'),
                mouths={'source': observer.source.mouth, 'target': observer.target.mouth},
            )
        )
        assembler, feed = self._assembler, self._feed
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
        topic = image_topic('color/image', self.value('image_transport'))
        self.subscribe(*topic, self._on_color, IMAGE_DEPTH, required=True)
        self._worker = Worker(self._take, self._answer, self.failed)
        self._worker.start()

    def deactivate(self) -> None:
        """Let the worker finish its frame and end."""
        if self._worker is not None:
            self._worker.stop()
        self._worker = None

    def cleanup(self) -> None:
        """Free the model."""
        self._observer = None

    def change(self, values: dict[str, Any]) -> None:
        """Other thresholds, containers or frames, from the next image on."""
        # A copy: the image in work keeps the containers that it began with.
        observer = copy(self._observer)
        assert observer is not None
        if 'source' in values:
            observer.source = Container.load(values['source'])
        if 'target' in values:
            observer.target = Container.load(values['target'])
        self._observer = observer
        self._set_thresholds(values)
        if self._worker is not None:
            with self._worker.lock:
                poses = self._assembler.poses
                for role, container in (('source', observer.source), ('target', observer.target)):
                    poses.watch(role, container.mouth)
                    if (frame := values.get(f'{role}_frame')) is not None:
                        poses.follow(role, frame)

    def _set_thresholds(self, values: dict[str, Any]) -> None:
        """Thresholds of the parameters, some of which are about to become `values`."""
        assert self._observer is not None
        segmenter = self._observer.segmenter
        presence, mask = (
            values.get(name, self.value(name)) for name in ('presence_threshold', 'mask_threshold')
        )
        own = segmenter.metadata
        segmenter.thresholds = segmenter.thresholds._replace(
            presence=presence or own.presence_threshold, mask=mask or own.mask_threshold
        )

    def reset(self, poses: bool) -> None:
        """See SwitchedNode."""
        assert self._worker is not None
        with self._worker.lock:
            self._assembler.reset(poses)

    def _on_color(self, message: Any) -> None:
        if not self.enabled:
            return
        self.health.received()
        with self.health.timed('receive'):
            self._feed(self._assembler.color, message)

    def _feed(self, take_in: Callable[..., None], *arguments: Any) -> None:
        assert self._worker is not None
        with self._worker.lock:
            try:
                take_in(*arguments)
            except MessageError as error:
                self.unusable(error)
            self._worker.wake()

    def _take(self) -> tuple[Frame, str] | None:
        """The newest complete frame and its frame_id."""
        try:
            frame = self._assembler.take(time.monotonic_ns())
        except MessageError as error:
            self.health.problem(str(error))
            self._tell_losses()
            return None
        return None if frame is None else (frame, self._assembler.color_frame_id)

    def _answer(self, taken: tuple[Frame, str]) -> None:
        assert self._observer is not None
        assert self._worker is not None
        (frame, frame_id), observer = taken, self._observer
        with self.health.timed('segment'):
            segmentation = observer.segment(frame)
        with self.health.timed('lift'):
            observation = observer.lift(frame, segmentation)
        with self.health.timed('publish'):
            messages = perception_messages(observation, frame.color, frame_id, self.wanted)
            for name, fields in messages:
                self.send(name, fields)
        if problem := frame.problem or observation.problem:
            self.health.problem(problem)
        self.health.answered(frame.stamp_ns)
        with self._worker.lock:
            self._tell_losses()

    def _tell_losses(self) -> None:
        """What the assembler has dropped, and how far companions are; with the lock held."""
        for cause, count in self._assembler.drops.items():
            self.health.fact(f'dropped: {cause}', count)
        for companion, skew in self._assembler.skew_ns.items():
            self.health.fact(f'skew of {companion} (ms)', f'{skew * 1e-6:.1f}')


def image_topic(topic: str, transport: str) -> tuple[str, str]:
    """Type and name of an image's topic, by image_transport's convention."""
    if transport == 'raw':
        return 'sensor_msgs/msg/Image', topic
    return 'sensor_msgs/msg/CompressedImage', f'{topic}/{transport}'


def _warm_up(segmenter: SegmenterLike) -> None:
    """Let the first pass allocate and import now: it takes ten times as long as the next."""
    segmenter.segment(np.zeros((480, 640, 3), np.uint8))
    mask = np.zeros((64, 64), np.bool_)
    mask[8:56, 30:34] = True
    forward, up = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])
    plane = PouringPlane(forward, forward, up, np.eye(2))
    lift_mask(mask, mask.astype(np.float32), PinholeCamera(64, 64, 60, 60, 32, 32), plane)
