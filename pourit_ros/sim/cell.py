# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The robot cell of one trial: twists in; images, poses and the liquid's account out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..control.outflow import Outflow, Pouring, departure, lip_of, tilt_of
from ..geometry import Container, Pose
from ..synth.scene.description import LiquidDescription
from ..synth.scene.meshes import Mesh
from .arm import PERIOD, Arm, find_start
from .camera import Renderer, pinhole
from .content import Content
from .liquid import Account
from .picture import RINGS, Photographer, stream_meshes
from .reports import Reports
from .scene import TABLE, build, camera_poses
from .setup import Setup
from .vessels import BOTTLE, CUP, grip

# The bottle starts with its mouth this far beside the cup's, m: drips and a stream both hit it.
BESIDE = 0.03
_QUARTER = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])


class Cell:
    """A Franka FR3 with a bottle over a cup before an RGB-D camera, at a time.

    Poses are in the base frame, that of the arm, z up. Deterministic: the same setup and twists
    give the same numbers and images on one machine. Raises InputError without MuJoCo, without the
    arm's model, and for a cup where the arm cannot pour.
    """

    def __init__(self, setup: Setup, size: tuple[int, int] = (320, 240)) -> None:
        self.setup, self.size = setup, size
        self.source, self.target = Container.load('pourit_bottle'), Container.load('cup')
        self.camera = pinhole(size)
        self._model = build(setup, size)
        rim = self._target_at(0.0).apply(self.target.mouth)
        mouth = rim + [0.0, BESIDE, setup.start_height] + np.asarray(setup.start_offset)
        self._arm = Arm(self._model, find_start(self._model, mouth, setup.start_tilt))
        # The source's frame in the bottle's, whose origin is its base's centre.
        height = np.array([0.0, 0.0, BOTTLE.height])
        self._T_bottle_source = Pose(_QUARTER, height - _QUARTER @ self.source.mouth)
        assert self.source.cavity is not None  # the preset has one
        self._pouring = Pouring(Outflow(self.source.cavity), setup.fill)
        self._account = Account(
            setup.target_at,
            self.target.rim_radius,
            float(rim[2]),
            setup.cup_capacity - setup.cup_fill,
        )
        self._reports = Reports(setup)
        self._cameras = camera_poses(setup)
        self._content = Content(CUP, TABLE, setup.cup_capacity, setup.cup_fill)
        self._renderer: Renderer | None = None
        self._photographer = Photographer(setup, self.camera)
        self._fine: tuple[Any, Renderer] | None = None
        self.images = 0
        self._place()
        self._lip = lip_of(self.source, self.T_base_source)

    # Time and motion

    @property
    def time(self) -> float:
        """Since the start, s."""
        return float(self._arm.data.time)

    def command(self, twist: ArrayLike) -> None:
        """Move the tip with `twist` (6,), m/s and rad/s in base axes, for at most 0.1 s.

        As MoveIt Servo takes it: about the tip's own origin. Raises InputError.
        """
        self._arm.command(twist)

    def step(self) -> None:
        """Move on by 10 ms."""
        self._arm.step()
        self._place()
        self._pour()

    @property
    def joints(self) -> NDArray[np.float64]:
        """Joint positions (7,) rad."""
        return self._arm.q

    @property
    def joint_speeds(self) -> NDArray[np.float64]:
        """Joint speeds (7,) rad/s."""
        return self._arm.dq

    # True poses

    @property
    def T_base_tip(self) -> Pose:
        """Of the arm's flange, which twists move (fr3_link8)."""
        return self._arm.T_base_tip

    @property
    def T_base_source(self) -> Pose:
        """Of the bottle, in the frame of `source`."""
        return self._source_now

    @property
    def T_base_target(self) -> Pose:
        """Of the cup, in the frame of `target`."""
        return self._target_at(self.time)

    @property
    def T_base_cam(self) -> Pose:
        """Of the camera's optical frame."""
        return self._cameras['rgbd']

    # What is believed of them

    def reported_source(self) -> Pose:
        """The bottle's pose as the arm knows it: from its joints, without the slip, with noise."""
        return self._reports.source(self._held(np.zeros(3)), self.time)

    def reported_cam(self) -> Pose:
        """The camera's pose as it was calibrated, with the setup's bias."""
        return self._reports.cam(self.T_base_cam)

    def reported_target(self) -> Pose:
        """The cup's pose as the camera finds it: with the camera's bias, and with noise."""
        return self._reports.target(self.T_base_target, self.T_base_cam, self.time)

    # What the camera sees

    def observe(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Take an image: colour (H, W, 3) uint8 RGB, depth (H, W) float32 m, 0 where unknown."""
        if self._renderer is None:
            self._renderer = Renderer(self._model, self.size)
        self._content.show(self._model, self._arm.data, self._account)
        drawn, depth = self._renderer.draw(self._arm.data, 'rgbd')
        self.images += 1
        return self._photographer.take(drawn, depth, self.T_base_cam, self._streams(), self.images)

    def portrait(
        self, view: str = 'cell', size: tuple[int, int] = (640, 480)
    ) -> NDArray[np.uint8]:
        """An image (H, W, 3) RGB for people, with the arm's visual meshes and shadows.

        `view`: 'cell', the whole of it; 'pour', from near by. Takes a good part of a second, and
        the first of a size two.
        """
        if self._fine is None or self._fine[1].size != size:
            if self._fine is not None:
                self._fine[1].close()
            model = build(self.setup, size, fine=True)
            self._fine = model, Renderer(model, size, fine=True)
        model, renderer = self._fine
        data = self._arm.copied(model)
        self._content.show(model, data, self._account)
        drawn, depth = renderer.draw(data, view)
        photographer = Photographer(self.setup, pinhole(size), samples=2)
        streams = self._streams(rings=160)
        return photographer.plain(drawn, depth, self._cameras[view], streams)

    def close(self) -> None:
        """Free what drawing needs."""
        for renderer in (self._renderer, self._fine and self._fine[1]):
            if renderer is not None:
                renderer.close()
        self._renderer = self._fine = None

    # The liquid, as it is

    @property
    def liquid(self) -> LiquidDescription:
        """What is poured."""
        return self.setup.liquid

    @property
    def poured(self) -> float:
        """What has left the bottle, m3: `caught` + `spilled` + `in_air`."""
        return self._account.poured

    @property
    def caught(self) -> float:
        """What the cup has caught and kept, m3."""
        return self._account.caught

    @property
    def spilled(self) -> float:
        """What landed beside the cup, or ran over, m3."""
        return self._account.spilled

    @property
    def in_air(self) -> float:
        """What has not yet fallen to the height of the cup's rim, m3."""
        return self._account.in_air

    @property
    def left(self) -> float:
        """What is still in the bottle, m3."""
        return float(self._pouring.volume)

    @property
    def flow(self) -> float:
        """Over the lip, m3/s."""
        return float(self._pouring.flow)

    @property
    def landing(self) -> NDArray[np.float64] | None:
        """Where (3,) m liquid crosses the plane of the cup's rim now, None where none does."""
        return self._account.landing(self.time)

    # How it comes about

    def _target_at(self, time: float) -> Pose:
        return Pose(np.eye(3), np.array([*self.setup.target_at(time), TABLE]))

    def _held(self, slip: NDArray[np.float64]) -> Pose:
        return self.T_base_tip @ grip(slip) @ self._T_bottle_source

    def _place(self) -> None:
        """Put cup and bottle where they are at this time."""
        model, data = self._model, self._arm.data
        data.mocap_pos[model.body('cup').mocapid[0], :2] = self.setup.target_at(self.time)
        if any(self.setup.slip):
            held, bottle = grip(self.setup.slipped(self.time)), model.body('bottle').id
            model.body_pos[bottle] = held.translation
            model.body_quat[bottle] = held.quaternion[[3, 0, 1, 2]]
        self._arm.locate()
        self._source_now = self._held(self.setup.slipped(self.time))

    def _pour(self) -> None:
        source, pose = self.source, self.T_base_source
        volume = self._pouring.step(tilt_of(source, pose), PERIOD)
        place, velocity = departure(
            source, pose, self.setup.speed_factor * self._pouring.exit_speed
        )
        # What leaves a moving lip moves with it.
        lip = lip_of(source, pose)
        velocity = velocity + (lip - self._lip) / PERIOD
        self._lip = lip
        self._account.leave(self.time, place, velocity, volume, PERIOD)
        self._account.settle(self.time)

    def _streams(self, rings: int = RINGS) -> list[Mesh]:
        landed = self.landing
        inside = landed is not None and self._inside(landed)
        end = self._content.level(self.setup.cup_fill + self.caught) if inside else TABLE
        runs = self._account.streams()
        return stream_meshes(runs, self.time, end, self.setup.seed, rings)

    def _inside(self, landed: NDArray[np.float64]) -> bool:
        away = landed[:2] - self.setup.target_at(self.time)
        return bool(np.linalg.norm(away) < self.target.rim_radius)
