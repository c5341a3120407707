# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A pour without images: an arm that follows late, liquid by the model, sight with noise."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from pourit_ros.control.controller import PourController
from pourit_ros.control.outflow import (
    Outflow,
    Pouring,
    departure,
    lip_of,
    predicted_landing,
    tilt_of,
)
from pourit_ros.control.settings import ControllerSettings
from pourit_ros.control.sighting import Sighting
from pourit_ros.geometry import Container, Pose
from pourit_ros.geometry.fall import fall_time

STEP = 0.01
ML = 1e-6


@dataclass
class Plant:
    """`events`: what happens at a time: {time: function of the plant}."""

    seed: int = 0
    fill: float = 330 * ML
    told: float = 330 * ML
    latency: float = 0.12
    drops: float = 0.0
    pose_noise: tuple[float, float] = (0.0, 0.0)
    camera_bias: tuple[float, float] = (0.0, 0.0)
    speed_factor: float = 1.0
    calibration: float = 1.0
    coefficient: float = 0.62
    measures_flow: bool = True
    shows_source: bool = False
    start_off: tuple[float, float] = (0.0, 0.0)
    start_tilt: float = 0.65
    move: tuple[float, float] = (0.0, 0.0)
    move_at: float = 4.0
    move_for: float = 1.0
    slip: float = 0.0
    slip_at: float = 4.0
    slip_for: float = 2.0
    settings: ControllerSettings = field(default_factory=ControllerSettings)
    events: dict = field(default_factory=dict)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)
        self.source, self.target = Container.load('bottle'), Container.load('cup')
        self.controller = PourController(self.source, self.target, self.settings)
        model = Outflow(self.source.cavity, self.coefficient)
        self.pouring = Pouring(model, self.fill)
        self.time = self.clock_off = 0.0
        self.cup = np.array([0.6, 0.0, 0.0])
        R = Rotation.from_euler('x', self.start_tilt).as_matrix()
        lip = self.cup + self.target.mouth + [*self.start_off, 0.1] + np.array([0, 0.03, 0])
        pose = Pose(R, np.zeros(3))
        self.pose = Pose(R, lip - lip_of(self.source, pose))
        self.twist = np.zeros(6)
        self.pending = deque()
        self.air = []
        self.queue = deque()
        self.poured = self.caught = self.spilled = 0.0
        self.log = []
        self.sees = self.finds_source = self.finds_target = True
        self.stamp_off = 0.0
        self.frozen = None
        self.change = lambda sighting: sighting
        self.alive = True

    def target_pose(self):
        x = np.clip((self.time - self.move_at) / self.move_for, 0, 1)
        share = x**3 * (10 - 15 * x + 6 * x * x)
        return Pose(np.eye(3), self.cup + share * np.array([*self.move, 0]))

    def held(self):
        """The true pose of the source: it slips about its middle."""
        x = np.clip((self.time - self.slip_at) / self.slip_for, 0, 1)
        turn = Rotation.from_rotvec([self.slip * x * x * (3 - 2 * x), 0, 0]).as_matrix()
        grip = np.array([0, 0, 0.1])
        return self.pose @ Pose(turn, grip - turn @ grip)

    def noisy(self, pose):
        shift, turn = self.rng.standard_normal((2, 3)) / np.sqrt(3)
        return pose.perturbed(self.pose_noise[0] * shift, self.pose_noise[1] * turn)

    @property
    def now(self):
        return self.time + self.clock_off

    def report(self, k):
        c = self.controller
        if k % 3 == 0:
            if self.finds_source:
                c.set_source(self.now + self.stamp_off, self.noisy(self.pose), self.now)
            if self.finds_target:
                seen = self.noisy(self.target_pose()).perturbed([*self.camera_bias, 0], [0] * 3)
                c.set_target(self.now + self.stamp_off, seen, self.now)
        if k % 7 == 0 and self.rng.random() >= self.drops:
            self.queue.append((self.time + self.latency, self.look()))
        while self.queue and self.queue[0][0] <= self.time:
            sighting = self.queue.popleft()[1]
            if self.sees:
                c.see(self.change(sighting), self.now)

    def look(self):
        """What is seen of the stream in the air."""
        rng, stamp = self.rng, self.now + self.stamp_off
        flying = [p for p in self.air if self.time - p[0] < 0.25]
        flow = self.pouring.flow
        chance = 0.92 / (1 + np.exp(-(flow - 6 * ML) / ML)) + 0.01
        present = bool(rng.random() < chance)
        source = None
        if self.shows_source:
            shake = rng.standard_normal((2, 3))
            source = self.held().perturbed(0.002 * shake[0], 0.004 * shake[1])
        if not present or not flying:
            return Sighting(stamp, present, source=source)
        mouth = self.target_pose().apply(self.target.mouth)
        newest = flying[-5:]
        place = np.mean([predicted_landing(p[1], p[2], mouth[2]) for p in newest], axis=0)
        sigma = 0.004 + self.pose_noise[0] / np.sqrt(3)
        offset = place - mouth + sigma * rng.standard_normal(3) * [1, 1, 0]
        seen = self.calibration * flow * np.exp(0.12 * rng.standard_normal())
        known = self.measures_flow
        return Sighting(
            stamp, True, offset, sigma**2 * np.eye(3), seen if known else None,
            0.12 * seen + 0.5 * ML if known else None, source,
        )  # fmt: skip

    def act(self, twist):
        """The arm follows the twist of its lip, 40 ms late."""
        self.pending.append(twist)
        late = self.pending.popleft() if len(self.pending) > 3 else np.zeros(6)
        self.twist = self.twist + 0.5 * (late - self.twist)
        lip = lip_of(self.source, self.pose)
        turn = Rotation.from_rotvec(STEP * self.twist[3:]).as_matrix()
        moved = lip + turn @ (self.pose.translation - lip) + STEP * self.twist[:3]
        self.pose = Pose(turn @ self.pose.rotation, moved)

    def flow(self):
        held = self.held()
        left = self.pouring.step(tilt_of(self.source, held), STEP)
        speed = self.speed_factor * self.pouring.exit_speed
        place, velocity = departure(self.source, held, speed)
        rim = float(self.target.mouth[2])
        if left > 0:
            self.poured += left
            drop = max(place[2] - rim, 0.0)
            lands = self.time + float(fall_time(drop, -float(velocity[2])))
            self.air.append((self.time, place, velocity, left, lands))
        flying = []
        for parcel in self.air:
            if parcel[4] > self.time:
                flying.append(parcel)
                continue
            mouth = self.target_pose().apply(self.target.mouth)
            landed = predicted_landing(parcel[1], parcel[2], mouth[2])
            inside = np.linalg.norm((landed - mouth)[:2]) < self.target.rim_radius
            self.caught += parcel[3] * inside
            self.spilled += parcel[3] * (not inside)
        self.air = flying

    def run(self, seconds=40.0, started=0.3):
        """Pour until it is over; raises whatever the controller does."""
        events = dict(self.events)
        for k in range(round(seconds / STEP)):
            for at in [t for t in events if t <= self.time]:
                events.pop(at)(self)
            self.report(k)
            if k == round(started / STEP):
                self.controller.start(self.now, self.told)
            command = self.controller.step(self.now)
            self.log.append(
                (self.time, command.state, command.twist, self.pouring.flow, command.reason,
                 tilt_of(self.source, self.held()), self.poured)
            )  # fmt: skip
            self.act(command.twist if self.alive else np.zeros(6))
            self.flow()
            self.time += STEP
            if command.state == 'done' and not self.air:
                break
        return self

    @property
    def error(self):
        """Volume poured beyond the goal, m3."""
        return self.poured + self.caught * 0 - self.settings.target_volume

    @property
    def share(self):
        return self.caught / max(self.poured, 1e-12)

    @property
    def states(self):
        seen = [entry[1] for entry in self.log]
        return [s for i, s in enumerate(seen) if i == 0 or seen[i - 1] != s]
