# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Each term of the stated covariance alone, against what really moves when its cause moves."""

from dataclasses import replace

import numpy as np
import pytest

from pourit_ros.bench.geometry import noisy_mask
from pourit_ros.geometry import NoiseModel, lift_mask, measure_pour, pouring_plane
from pourit_ros.synth.scene.scenario import random_scenario

UP = np.array([0, 0, 1.0])
# The fit needs a scale for its residuals, so its own term is taken off where others are looked at.
SILENT = NoiseModel(position=0.0, angle=0.0, stream=0.0)
# Pose errors for which the landing point moves in proportion.
STEPS = {'position': 1e-3, 'angle': 2e-3}


@pytest.fixture(scope='module', params=[1, 4, 9])
def scenario(request):
    return random_scenario(np.random.default_rng(request.param))


def measure(scenario, noise, source=None, target=None):
    """Measure a scenario's own mask with true or given poses."""
    T_cam_base = scenario.T_base_cam.inverse()
    mask = noisy_mask(scenario, np.random.default_rng(0), SILENT)
    plane = pouring_plane(
        T_cam_base @ (source or scenario.T_base_source),
        scenario.source,
        T_cam_base.rotate(UP),
        noise=noise,
    )
    cloud = lift_mask(mask, np.ones(mask.shape, np.float32), scenario.camera, plane)
    found = measure_pour(
        cloud, scenario.T_base_cam, scenario.target, target or scenario.T_base_target, noise
    )
    assert not found.problems
    return found


def axis_of(scenario):
    return scenario.target.axis_in(scenario.T_base_target)


def terms(scenario, **noise):
    """What a noise adds to the covariance of the landing point and of the offset."""
    fit, both = measure(scenario, SILENT), measure(scenario, replace(SILENT, **noise))
    return (
        both.landing_covariance - fit.landing_covariance,
        both.offset_covariance - fit.offset_covariance,
    )


def test_the_fit_alone(scenario):
    found = measure(scenario, SILENT)
    np.testing.assert_allclose(found.offset_covariance, found.landing_covariance, atol=1e-14)
    # It lies along the stream's plane, and some of a millimetre is what a pixel leaves open.
    assert np.linalg.matrix_rank(found.landing_covariance, 1e-12) == 1
    assert 1e-5 < np.sqrt(np.trace(found.landing_covariance)) < 0.03


def test_stream_alone(scenario):
    axis = axis_of(scenario)
    expected = 0.003**2 * (np.eye(3) - np.outer(axis, axis))
    for term in terms(scenario, stream=0.003):
        np.testing.assert_allclose(term, expected, atol=1e-12)


@pytest.mark.parametrize('kind', ['position', 'angle'])
def test_poses_alone(scenario, kind):
    """The oracle lifts and measures anew for each of the twelve pose errors."""
    step = STEPS[kind]
    landing, offset = np.zeros((3, 3)), np.zeros((3, 3))
    for role in ('source', 'target'):
        pose = getattr(scenario, f'T_base_{role}')
        for k in range(3):
            moves = []
            for sign in (1, -1):
                error = np.zeros(6)
                error[k + 3 * (kind == 'angle')] = sign * step
                moved = measure(scenario, SILENT, **{role: pose.perturbed(error[:3], error[3:])})
                moves.append((moved.landing_point, moved.offset))
            there, back = moves
            for total, a, b in zip((landing, offset), there, back, strict=True):
                slope = (a - b) / (2 * step)
                total += np.outer(slope, slope)
    sigma = 1e-3
    for stated, truth in zip(terms(scenario, **{kind: sigma}), (landing, offset), strict=True):
        truth = sigma**2 * truth
        np.testing.assert_allclose(stated, truth, atol=0.15 * np.abs(truth).max())


def test_the_offset_stays_in_the_rims_plane_however_the_target_moves(scenario):
    _, offset = terms(scenario, position=0.005)
    axis = axis_of(scenario)
    assert abs(axis @ offset @ axis) < 1e-3 * 0.005**2
