# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Poses that cannot be are refused frame by frame, with what they probably are."""

import re
from dataclasses import replace

import numpy as np
import pytest
from test_bags import BOTTLE, CUP, T0, BlueSegmenter, pour_frame

from pourit_ros.geometry import Pose
from pourit_ros.geometry.reach import implausible
from pourit_ros.pipeline import PourPipeline


def moved(pose, factor):
    return Pose(pose.rotation, factor * pose.translation)


@pytest.fixture(scope='module')
def frame():
    return pour_frame(T0)


def measure(frame):
    return PourPipeline(BlueSegmenter(), BOTTLE, CUP)(frame)[1]


def test_the_frame_itself_is_measured(frame):
    assert measure(frame).valid


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (
            lambda f: {'T_cam_source': moved(f.T_cam_source, 1000)},
            "the source's mouth is .* m from the camera, .* this one looks like millimetres",
        ),
        (lambda f: {'T_cam_source': moved(f.T_cam_source, 10)}, 'arm.s reach: is its pose in'),
        (
            lambda f: {'T_cam_source': Pose(f.T_cam_source.rotation, [0, 0, -0.7])},
            "source's mouth is .* m behind the camera: is its pose inverted",
        ),
        (
            lambda f: {'T_cam_source': Pose(np.eye(3), -BOTTLE.mouth)},
            "source's mouth is 0 mm in front of the camera: does its tracker send an empty or "
            "inverted pose",
        ),
        (
            lambda f: {'T_base_target': moved(f.T_base_target, 1000)},
            "the target's mouth is .* in millimetres or centimetres",
        ),
        (
            lambda f: {'T_base_target': Pose(np.eye(3), f.T_base_cam.apply([0.0, 0.0, -0.8]))},
            "target's mouth is .* m behind the camera",
        ),
        # The camera's own pose in millimetres: the target is where it is, the camera is not.
        (lambda f: {'T_base_cam': moved(f.T_base_cam, 1000)}, "target's mouth is .* millimetres"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_likely_reason(frame, change, text):
    estimate = measure(replace(frame, **change(frame)))
    assert estimate.present
    assert not estimate.valid
    assert estimate.geometry.lowest_point is None
    assert re.search(text, estimate.reason), estimate.reason
    assert '\n' not in estimate.reason


def test_a_container_within_reach_may_be_anywhere_before_the_camera():
    for z in (0.2, 0.8, 2.6):
        assert implausible('target', CUP, Pose(np.eye(3), np.array([0.1, -0.2, z]))) == ''
