# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the nodes say of an image, joined by its stamp."""

import math

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from pourit_ros.messages import encode  # noqa: E402 - needs rclpy's messages
from pourit_ros.messages.errors import MessageError  # noqa: E402
from pourit_ros.messages.ros import fill, message_class  # noqa: E402
from pourit_ros.nodes.sightings import WAIT, Sightings  # noqa: E402

T0, PERIOD = 10**18, 66_666_667
SCALARS = message_class('sensor_msgs/msg/JointState')
OFFSET = message_class('geometry_msgs/msg/PoseWithCovarianceStamped')


def stamp(k):
    return T0 + k * PERIOD


def probability(k, present=1.0):
    values = {'probability': 0.9, 'present': present, 'depth': 1.0}
    return fill(SCALARS, encode.scalars(stamp(k), 'cam', values))


def offset(k, x=0.01):
    fields = encode.position_with_covariance(stamp(k), 'base', [x, 0, 0], 4e-6 * np.eye(3))
    return fill(OFFSET, fields)


def flow(k):
    values = {'flow_ml_s': 12.0, 'flow_sigma_ml_s': 3.0}
    return fill(SCALARS, encode.scalars(stamp(k), 'base', values))


def poured(k):
    values = {'poured_ml': 5.0, 'poured_sigma_ml': 1.0}
    return fill(SCALARS, encode.scalars(stamp(k), 'base', values))


def test_a_whole_image_is_given_once_and_at_once():
    sightings = Sightings()
    for take, message in (
        (sightings.offset, offset(0)), (sightings.probability, probability(0)),
        (sightings.flow, flow(0)),
    ):  # fmt: skip
        take(message, 1.0)
        assert sightings.take(1.0) == []
    sightings.poured(poured(0), 1.0)
    [seen] = sightings.take(1.0)
    assert (seen.stamp_ns, seen.present) == (stamp(0), True)
    np.testing.assert_array_equal(seen.offset, [0.01, 0, 0])
    np.testing.assert_array_equal(seen.covariance, 4e-6 * np.eye(3))
    assert (seen.flow, seen.flow_sigma) == pytest.approx((12e-6, 3e-6))
    assert sightings.take(9.0) == []


def test_without_the_monitor_it_is_given_after_a_while():
    sightings = Sightings()
    sightings.probability(probability(0, present=0.0), 1.0)
    assert sightings.take(1.0 + 0.9 * WAIT) == []
    [seen] = sightings.take(1.0 + 1.1 * WAIT)
    assert seen.present is False
    assert seen.offset is None
    # What comes now comes too late.
    sightings.poured(poured(0), 1.3)
    assert sightings.take(9.0) == []


def test_order_is_kept():
    sightings = Sightings()
    for k in (0, 1):
        sightings.probability(probability(k), 1.0)
    sightings.poured(poured(1), 1.0)
    assert sightings.take(1.0) == []
    sightings.poured(poured(0), 1.0)
    assert [seen.stamp_ns for seen in sightings.take(1.0)] == [stamp(0), stamp(1)]


def test_when_time_is_set_back_it_goes_on():
    sightings = Sightings()
    for k in (1000, 0):
        sightings.probability(probability(k), 1.0)
        sightings.poured(poured(k), 1.0)
        assert [seen.stamp_ns for seen in sightings.take(1.0)] == [stamp(k)]


def test_what_is_not_finite_is_passed_on_as_an_offset_only():
    sightings = Sightings()
    sightings.offset(offset(0, math.nan), 1.0)
    assert math.isnan(sightings.take(9.0)[0].offset[0])
    with pytest.raises(MessageError, match='present'):
        sightings.probability(flow(0), 1.0)
