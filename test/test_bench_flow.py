# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the flow: its pours, and its figures."""

from collections import Counter

import numpy as np
import pytest

from pourit_ros.bench.flow import BANDS, LIQUIDS, FlowResult, known_pour, measure_flow
from pourit_ros.geometry import NoiseModel
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.synth.scene.random import random_scene
from pourit_ros.synth.scene.strata import MIXTURE, Mixture


def test_flows_and_exit_speeds_vary_widely():
    scenes = [
        random_scene(0, k, 'val', size=96, poured_from='can', mixture=Mixture.parse('flow'))
        for k in range(60)
    ]
    rates = np.array([scene.flow.rate_ml_s for scene in scenes])
    speeds = np.array([scene.flow.speed for scene in scenes])
    assert rates.min() >= 7.9
    assert rates.max() <= 100.1
    for low, high in BANDS:
        assert ((rates >= low) & (rates < high)).sum() >= 8
    assert np.ptp(speeds) > 0.5
    assert abs(np.corrcoef(rates, speeds)[0, 1]) < 0.6


def test_no_training_set_holds_these_scenes():
    assert 'flow' not in MIXTURE


def test_a_pour_is_the_same_each_time_and_tells_its_flow():
    pour, again = known_pour(0, 1), known_pour(0, 1)
    assert pour.liquid == LIQUIDS[1]
    assert 8e-6 <= pour.flow <= 100e-6
    assert pour.mask.sum() >= 20
    np.testing.assert_array_equal(pour.frame.color, again.frame.color)


def test_figures_by_liquid_and_band():
    true = np.array([10.0, 10.0, 40.0, 80.0])
    measured = np.array([10.0, 12.0, 80.0, np.nan])
    liquid = np.array(['water', 'milk', 'water', 'cola'])
    result = FlowResult('true', true, measured, np.full(4, 3.0), liquid, Counter())
    rows = {row['pours']: row for row in result.summary()}
    assert list(rows) == ['all', *LIQUIDS, '8-20 ml/s', '20-50 ml/s', '50-100 ml/s']
    assert (rows['all']['count'], rows['all']['measured']) == (4, 3)
    assert rows['all']['ratio_p50'] == 1.2
    assert rows['all']['within_1_sigma'] == pytest.approx(2 / 3, abs=1e-3)
    assert rows['8-20 ml/s']['ratio_p50'] == 1.1
    assert rows['water']['error_ml_s_p50'] == 20
    assert rows['cola']['measured'] == 0
    assert rows['cola']['ratio_p50'] is None


def test_both_kinds_of_masks_are_measured_and_refusals_counted():
    class Blind:
        def segment(self, rgb, region=None):
            size = rgb.shape[:2]
            return Segmentation(0.1, False, np.zeros(size, np.float32), np.zeros(size, bool))

    *steps, results = measure_flow(3, 0, NoiseModel(), Blind())
    assert steps == [None] * 3
    network, true = results
    assert network.refused == {'no liquid was seen': 3}
    assert np.isnan(network.measured).all()
    assert np.isfinite(true.measured).any()
    assert true.true == pytest.approx(network.true)
