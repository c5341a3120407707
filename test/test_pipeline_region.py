# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which part of the image the pipeline has segmented."""

from dataclasses import replace

import numpy as np
import pytest

from pourit_ros.geometry import Container
from pourit_ros.geometry.region import pour_region
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.pipeline import PourObserver, PourPipeline
from pourit_ros.synth.sets.sequence import pour_sequence

SOURCE, TARGET = Container.load('pourit_bottle'), Container.load('cup')


class Recorder:
    """Keeps the regions that it was asked for."""

    def __init__(self):
        self.regions = []

    def segment(self, rgb, region=None):
        self.regions.append(region)
        empty = np.zeros(rgb.shape[:2], np.bool_)
        return Segmentation(0.1, False, empty.astype(np.float32), empty)


@pytest.fixture(scope='module')
def pour():
    """A frame while it flows."""
    return list(pour_sequence(rate=0.5, size=(320, 240)))[1]


def test_both_poses_known(pour):
    frame, recorder = pour.frame, Recorder()
    PourPipeline(recorder, SOURCE, TARGET)(frame)
    T_cam_base = frame.T_base_cam.inverse()
    expected = pour_region(
        frame.camera, frame.T_cam_source, SOURCE, T_cam_base @ frame.T_base_target, TARGET,
        T_cam_base.rotate([0, 0, 1.0]),
    )  # fmt: skip
    assert expected is not None
    assert recorder.regions == [expected]
    liquid = pour.coverage > 0.5
    assert liquid.any()
    assert liquid[expected.y0 : expected.y1, expected.x0 : expected.x1].sum() == liquid.sum()


def test_less_is_known(pour):
    frame, recorder = pour.frame, Recorder()
    observer = PourObserver(recorder, SOURCE, target=TARGET)
    T_cam_base = frame.T_base_cam.inverse()
    up = T_cam_base.rotate([0, 0, 1.0])
    for less in (
        replace(frame, T_base_target=None), replace(frame, T_base_cam=None),
        replace(frame, T_cam_source=None),
    ):  # fmt: skip
        observer.observe(less)
    assert recorder.regions == [
        pour_region(frame.camera, frame.T_cam_source, SOURCE, up_cam=up),
        pour_region(frame.camera, frame.T_cam_source, SOURCE),
        None,
    ]
    # The target's pose alone does not say where its rim is.
    PourObserver(recorder, SOURCE).observe(frame)
    assert recorder.regions[-1] == recorder.regions[0]
