# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The flow of round free-falling streams, from their masks."""

from dataclasses import replace

import numpy as np
import pytest

from pourit_ros.bench.geometry import noisy_mask
from pourit_ros.geometry import FlowModel, NoiseModel, lift_mask, measure_pour, pouring_plane
from pourit_ros.geometry.fall import GRAVITY
from pourit_ros.geometry.flow import EXACT
from pourit_ros.geometry.slices import Slices, slice_stream
from pourit_ros.geometry.stream import StreamFit
from pourit_ros.synth.scene.scenario import random_scenario

UP = np.array([0, 0, 1.0])
FINER = 5
NO_NOISE = NoiseModel(pixel=0.0, position=0.0, angle=0.0)


def finer(scenario):
    camera = scenario.camera
    return replace(scenario, camera=camera.resize(FINER * camera.width, FINER * camera.height))


def lifted(scenario, noise=NO_NOISE, rng=None):
    """The cloud of a scenario's own mask, its poses exact."""
    T_cam_base = scenario.T_base_cam.inverse()
    mask = noisy_mask(finer(scenario), rng or np.random.default_rng(0), noise)
    # Pixels that are covered by half: drawn outlines include every pixel that they touch.
    rows, columns = scenario.camera.height, scenario.camera.width
    mask = mask.reshape(rows, FINER, columns, FINER).mean(axis=(1, 3)) > 0.5
    plane = pouring_plane(
        T_cam_base @ scenario.T_base_source, scenario.source, T_cam_base.rotate(UP)
    )
    return lift_mask(mask, np.ones(mask.shape, np.float32), scenario.camera, plane)


def measured(scenario, model=EXACT, **lift):
    cloud = lifted(scenario, **lift)
    return measure_pour(cloud, scenario.T_base_cam, scenario.target, None, flow_model=model)


def true_flow(scenario):
    """Section times speed, at the mouth."""
    speed = np.hypot(scenario.horizontal_speed, scenario.downward_speed)
    return np.pi / 4 * scenario.width**2 * speed


def scenarios(count, seed=0):
    for k in range(count):
        rng = np.random.default_rng((seed, k))
        scenario = random_scenario(rng)
        # Round streams of 8 to 100 ml/s.
        speed = np.hypot(scenario.horizontal_speed, scenario.downward_speed)
        flow = np.exp(rng.uniform(np.log(8e-6), np.log(100e-6)))
        yield replace(scenario, width=float(np.sqrt(4 * flow / np.pi / speed)))


def fit(v=0.3, u=0.2, covariance=None):
    covariance = np.diag([1e-3, 0.02, 0.02]) ** 2 if covariance is None else covariance
    return StreamFit(0.0, v, u, 0.3, covariance, 1e-4)


def round_slices(flow, v=0.3, u=0.2, pixel=1e-3):
    drop = np.linspace(0.005, 0.12, 15)
    speed = np.sqrt(v**2 + u**2 + 2 * GRAVITY * drop)
    return Slices(drop, np.sqrt(flow / np.pi / speed), np.full(15, pixel), 0.008)


@pytest.mark.parametrize('flow', [8e-6, 25e-6, 100e-6])
def test_the_flow_of_exact_slices_is_area_times_speed(flow):
    value, sigma = EXACT.measure(round_slices(flow), fit())
    # The prior on the flow is weak.
    assert value == pytest.approx(flow, rel=0.1)
    assert 0.2 < sigma / value < 0.8


def test_calibrated_widths_are_undone():
    model = FlowModel()
    slices = round_slices(40e-6)
    seen = model.widening * slices.radius + model.pixel_share * slices.pixel + model.blob
    np.testing.assert_allclose(model.radius(seen, slices.pixel), slices.radius)
    value, _ = model.measure(replace(slices, radius=seen), fit())
    assert value == pytest.approx(40e-6, rel=0.1)


def test_one_splash_among_the_slices_hardly_counts():
    slices = round_slices(30e-6)
    radius = slices.radius.copy()
    radius[6] *= 4
    plain, _ = EXACT.measure(slices, fit())
    splashed, _ = EXACT.measure(replace(slices, radius=radius), fit())
    assert splashed == pytest.approx(plain, rel=0.15)


def test_unknown_speed_and_ragged_widths_widen_the_deviation():
    slices = round_slices(30e-6)
    _, sigma = EXACT.measure(slices, fit())
    vague = fit(covariance=np.diag([1e-3, 1.0, 1.0]) ** 2)
    assert EXACT.measure(slices, vague)[1] > sigma
    ragged = slices.radius * np.exp(0.5 * (-1.0) ** np.arange(15))
    assert EXACT.measure(replace(slices, radius=ragged), fit())[1] > 1.1 * sigma


def test_where_the_fit_says_nothing_the_prior_speed_stands_in():
    slices = round_slices(30e-6, v=0.3, u=0.26)
    wild = StreamFit(0.0, 3.0, 2.0, 0.3, np.diag([1e-3, 9.0, 9.0]) ** 2, 1e-4)
    value, _ = EXACT.measure(slices, wild)
    assert value == pytest.approx(30e-6, rel=0.35)


def test_the_width_does_not_depend_on_where_one_stands():
    """Seen askew, the plane's cut through the stream is wider than the stream."""
    ratios = []
    for scenario in scenarios(25, seed=3):
        cloud = lifted(scenario)
        geometry = measure_pour(cloud, scenario.T_base_cam, scenario.target, None)
        slices = slice_stream(
            cloud.points, geometry.stream, geometry.origin, geometry.direction, scenario.T_base_cam
        )
        speed = np.hypot(scenario.horizontal_speed, scenario.downward_speed)
        below = scenario.mouth[2] - geometry.stream.top + slices.drop
        true = np.sqrt(true_flow(scenario) / np.pi / np.sqrt(speed**2 + 2 * GRAVITY * below))
        ratios.append(np.median(slices.radius / true))
    assert np.median(ratios) == pytest.approx(1.0, abs=0.04)
    assert np.quantile(np.abs(np.log(ratios)), 0.9) < 0.2


def test_stated_deviations_hold_over_a_random_set():
    noise = NoiseModel(pixel=0.5 * FINER, correlation=8.0 * FINER)
    ratio, off = [], []
    for k, scenario in enumerate(scenarios(60)):
        geometry = measured(scenario, noise=noise, rng=np.random.default_rng(k))
        if geometry.flow is None:
            continue
        ratio.append(geometry.flow / true_flow(scenario))
        off.append(abs(geometry.flow - true_flow(scenario)) / geometry.flow_sigma)
    assert len(ratio) > 54
    assert np.median(ratio) == pytest.approx(1.0, abs=0.08)
    # Round streams err less than the sheets and chains that the deviation allows for.
    assert np.mean(np.array(off) < 1) > 0.68
    assert np.mean(np.array(off) < 2) > 0.95


def test_too_little_of_a_stream_has_no_flow_but_stays_a_pour():
    scenario = replace(next(scenarios(1)), visible=0.12)
    cloud = lifted(scenario)
    geometry = measure_pour(
        cloud, scenario.T_base_cam, scenario.target, scenario.T_base_target, flow_model=EXACT
    )
    assert (geometry.flow, geometry.flow_sigma) == (None, None)
    assert geometry.lowest_point is not None
    assert not any('flow' in problem for problem in geometry.problems)
