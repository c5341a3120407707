# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The part of the image in which a pour can show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pourit_ros.geometry import Container, PinholeCamera, Pose
from pourit_ros.geometry.region import Region, pour_region
from pourit_ros.synth.scene.scenario import random_scenario

CAMERA = PinholeCamera(640, 480, 600, 600, 319.5, 239.5)
# z out of the mouth; the origin in the mouth, so that an angle error moves nothing.
SPOUT = Container('spout', np.array([0, 0, 1.0]), np.zeros(3), 0.01)
RING = Container('ring', np.array([0, 0, 1.0]), np.zeros(3), 0.04)
UP = np.array([0, -1.0, 0])
# The axis along the camera's x, and against gravity.
TO_THE_RIGHT = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
UPWARDS = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def test_box_of_a_pour_to_the_right():
    """At 1 m a metre is 600 px: every side by hand."""
    T_cam_source = Pose(TO_THE_RIGHT, np.array([0, -0.1, 1.0]))
    T_cam_target = Pose(UPWARDS, np.array([0.05, 0.1, 1.0]))
    region = pour_region(CAMERA, T_cam_source, SPOUT, T_cam_target, RING, UP)
    # Left: the rim of the source plus 2 cm. Right: the fastest stream, 0.5 m/s for 0.2 m. Top:
    # the rim above the mouth. Bottom: the target's rim. Each pixel reaches 0.5 px out.
    drift = 0.5 * np.sqrt(2 * 0.2 / 9.81)
    nearer = 600 / 0.96
    assert region.x0 == pytest.approx(320 - 600 * 0.02, abs=1)
    assert region.x1 == pytest.approx(320 + 600 * (drift + 0.02), abs=1.5)
    assert region.y0 == pytest.approx(240 - 600 * (0.1 + 0.01 + 0.02), abs=1.5)
    assert region.y1 == pytest.approx(240 + nearer * (0.1 + 0.02), abs=1.5)
    assert region.pixels_per_metre == 600


def test_without_a_target_the_fall_is_long():
    T_cam_source = Pose(TO_THE_RIGHT, np.array([0, -0.3, 1.0]))
    region = pour_region(CAMERA, T_cam_source, SPOUT)
    assert region.y1 == pytest.approx(240 + 600 * (0.05 + 0.02), abs=1.5)
    # Gravity may point elsewhere: a camera that hangs upside down.
    turned = pour_region(CAMERA, T_cam_source, SPOUT, up_cam=-UP)
    assert turned.y1 < 120
    assert turned.y0 == 0


def test_a_far_target_is_not_poured_into():
    T_cam_source = Pose(TO_THE_RIGHT, np.array([-0.3, 0, 1.0]))
    far = Pose(UPWARDS, np.array([0.4, 0.1, 1.0]))
    assert pour_region(CAMERA, T_cam_source, SPOUT, far, RING) == pour_region(
        CAMERA, T_cam_source, SPOUT
    )


def test_a_target_above_the_mouth_still_bounds_both():
    T_cam_source = Pose(TO_THE_RIGHT, np.array([0, 0.1, 1.0]))
    above = Pose(UPWARDS, np.array([0, -0.1, 1.0]))
    region = pour_region(CAMERA, T_cam_source, SPOUT, above, RING, UP)
    assert region.y0 < 240 - 60
    assert region.y1 > 240 + 60


@pytest.mark.parametrize(
    'mouth', [(0, 0, -1.0), (0, 0, 0.01), (2.0, 0, 1.0), (0, 1.0, 1.0), (0.56, 0, 1.0)]
)
def test_out_of_sight(mouth):
    assert pour_region(CAMERA, Pose(TO_THE_RIGHT, np.array(mouth)), SPOUT) is None


def test_a_target_behind_the_camera_is_left_out():
    T_cam_source = Pose(TO_THE_RIGHT, np.array([0, 0, 0.3]))
    behind = Pose(UPWARDS, np.array([0, 0.1, -0.1]))
    region = pour_region(CAMERA, T_cam_source, SPOUT, behind, RING, UP)
    assert isinstance(region, Region)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_stream_stays_inside_though_poses_err(seed):
    """2 cm and 5 degrees off, in any direction, both of them."""
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    camera, T_cam_base = scenario.camera, scenario.T_base_cam.inverse()

    def off(pose):
        shift, turn = rng.normal(size=(2, 3))
        return pose.perturbed(
            0.02 * shift / np.linalg.norm(shift),
            np.radians(5) * turn / np.linalg.norm(turn),
        )

    region = pour_region(
        camera,
        off(T_cam_base @ scenario.T_base_source),
        scenario.source,
        off(T_cam_base @ scenario.T_base_target),
        scenario.target,
        T_cam_base.rotate([0, 0, 1.0]),
    )
    pixels = camera.project(T_cam_base.apply(scenario.visible_centre(80)))
    seen = pixels[((pixels >= 0) & (pixels < [camera.width, camera.height])).all(1)]
    if region is None:
        assert len(seen) < 40
        return
    assert 0 <= region.x0 < region.x1 <= camera.width
    assert 0 <= region.y0 < region.y1 <= camera.height
    inside = (seen >= [region.x0 - 0.5, region.y0 - 0.5]) & (
        seen <= [region.x1 - 0.5, region.y1 - 0.5]
    )
    assert inside.all(1).mean() > 0.99
