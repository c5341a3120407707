# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is believed of the poses: true ones with a setup's bias and noise."""

from __future__ import annotations

import numpy as np

from ..geometry import Pose
from .setup import Setup

# Reported poses come from images: so many a second have noise of their own.
RATE = 30.0
SOURCE, TARGET = 1, 2


class Reports:
    """Reported poses of one trial; the same for a time, however often they are asked for."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def cam(self, T_base_cam: Pose) -> Pose:
        """The camera's pose as it was calibrated."""
        return T_base_cam.perturbed(self._setup.camera_shift, self._setup.camera_turn)

    def source(self, T_base_source: Pose, time: float) -> Pose:
        """The bottle's pose, without its slip as the arm knows it, with noise."""
        return self._noisy(T_base_source, time, SOURCE)

    def target(self, T_base_target: Pose, T_base_cam: Pose, time: float) -> Pose:
        """The cup's pose as the camera finds it: with the camera's bias, and with noise."""
        seen = T_base_cam.inverse() @ T_base_target
        return self._noisy(self.cam(T_base_cam) @ seen, time, TARGET)

    def _noisy(self, pose: Pose, time: float, which: int) -> Pose:
        setup = self._setup
        if not (setup.pose_shift or setup.pose_turn):
            return pose
        report = int(time * RATE + 1e-6)
        noise = np.random.default_rng((setup.seed, 83, which, report)).standard_normal((2, 3))
        shift, turn = noise / np.sqrt(3)
        return pose.perturbed(setup.pose_shift * shift, setup.pose_turn * turn)
