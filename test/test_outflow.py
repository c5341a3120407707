# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Cavities, and the liquid that leaves them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pourit_ros.control.outflow import (
    DRIP,
    Outflow,
    Pouring,
    departure,
    lip_of,
    predicted_landing,
    tilt_of,
)
from pourit_ros.control.weir import over_lip
from pourit_ros.errors import InputError
from pourit_ros.geometry import Container, GeometryError, Pose
from pourit_ros.geometry.cavity import Cavity
from pourit_ros.geometry.fall import GRAVITY

NAMES = ('pourit_bottle', 'bottle', 'cup', 'mug', 'glass')
TUBE = Cavity([[0.03, 0.0], [0.03, 0.1]])

models = {name: Outflow(Container.load(name).cavity) for name in NAMES}
some_model = st.sampled_from(NAMES).map(models.get)
some_tilt = st.floats(0, np.pi)
some_share = st.floats(0, 1)


def turned(tilt, azimuth=0.0):
    """A pose that tilts a container's z towards +x, then turns it about the vertical."""
    c, s = np.cos(tilt), np.sin(tilt)
    tilted = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(azimuth), np.sin(azimuth)
    return Pose(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ tilted, [0.4, -0.1, 0.3])


def test_a_tube_holds_what_geometry_says():
    assert pytest.approx(np.pi * 0.03**2 * 0.1) == TUBE.capacity
    assert TUBE.volume_below(0.0, 0.04) == pytest.approx(np.pi * 0.03**2 * 0.04, rel=5e-3)
    # Tilted until the surface just meets the bottom's edge: half of it.
    assert TUBE.volume_below_lip(np.arctan(0.1 / 0.06)) == pytest.approx(0.5 * TUBE.capacity, 1e-3)
    # Flatter, with the bottom wet throughout: a plane cut at the axis' height.
    assert TUBE.volume_below_lip(0.5) == pytest.approx(
        np.pi * 0.03**2 * (0.1 - 0.03 * np.tan(0.5)), rel=1e-3
    )
    assert TUBE.volume_below_lip(0.5 * np.pi) == pytest.approx(0, abs=1e-12)


def test_a_cone_is_cut_exactly():
    cone = Cavity([[0.0, 0.0], [0.04, 0.12]])
    assert cone.capacity == pytest.approx(np.pi * 0.04**2 * 0.12 / 3)


@pytest.mark.parametrize(
    ('profile', 'message'),
    [
        ([[0.03, 0.0]], 'two pairs'),
        ([[0.03, 0.0, 1.0]] * 2, 'two pairs'),
        ([[0.03, 0.0], [0.03, -0.1]], 'within 0 to 1'),
        ([[0.03, 0.0], [0.03, float('nan')]], 'within 0 to 1'),
        ([[30, 0.0], [30, 100]], 'within 0 to 1'),
        ([[0.03, 0.01], [0.03, 0.1]], 'begin at 0'),
        ([[0.03, 0.0], [0.03, 0.1], [0.02, 0.1]], 'begin at 0'),
        ([[0.03, 0.0], [0.0, 0.1]], 'radius 0'),
        ('wide', 'numbers'),
        ([[0.03, 0.0], [0.03]], 'numbers'),
    ],
)
def test_impossible_cavities(profile, message):
    with pytest.raises(GeometryError, match=message):
        Cavity(profile)


def test_containers_know_their_cavity(tmp_path):
    for name in NAMES:
        container = Container.load(name)
        assert container.cavity.mouth_radius == pytest.approx(container.rim_radius, rel=0.01)
        assert 300e-6 < container.cavity.capacity < 600e-6
    entry = 'a: {axis: [0, 0, 1], mouth: [0, 0, 0.1], rim_radius: 0.03'
    file = tmp_path / 'own.yaml'
    file.write_text(entry + '}')
    assert Container.load(str(file)).cavity is None
    for cavity, message in (
        ('[[0.03, 0], [0.04, 0.1]]', 'container a: cavity: its mouth has radius 0.04 m'),
        ('[[0.03, 0]]', 'container a: cavity: needs at least two pairs'),
    ):
        file.write_text(f'{entry}, cavity: {cavity}}}')
        with pytest.raises(GeometryError, match=message):
            Container.load(str(file))


@given(some_model, some_tilt, some_tilt)
@settings(max_examples=60, deadline=None)
def test_more_tilt_keeps_less(model, a, b):
    low, high = sorted([a, b])
    assert model.kept(high) <= model.kept(low) + 1e-15


@given(some_model, some_share, some_share, some_tilt, some_tilt)
@settings(max_examples=200, deadline=None)
def test_flow_grows_with_tilt_and_volume(model, a, b, s, t):
    (v, w), (low, high) = sorted([a * model.capacity, b * model.capacity]), sorted([s, t])
    assert model.flow(v, low) <= model.flow(w, low) + 1e-12
    assert model.flow(v, low) <= model.flow(v, high) + 1e-12


@given(some_model, some_share, st.lists(some_tilt, min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_volume_is_kept(model, share, tilts):
    pouring = Pouring(model, share * model.capacity)
    begun, left = pouring.volume, 0.0
    for tilt in tilts:
        left += pouring.step(tilt, 0.02)
        assert 0 <= pouring.volume <= begun
        assert pouring.flow >= 0
    assert left + pouring.volume == pytest.approx(begun, abs=1e-15)


@pytest.mark.parametrize('name', NAMES)
def test_limits(name):
    model = models[name]
    assert model.kept(0) == pytest.approx(model.capacity)
    assert model.kept(np.pi) == 0
    # Upright, nothing leaves even a full one; an empty one gives nothing at any tilt.
    assert model.flow(model.capacity, 0) == 0
    assert max(model.flow(0, t) for t in np.linspace(0, np.pi, 50)) == 0
    # Upside down everything leaves.
    pouring = Pouring(model, 0.9 * model.capacity)
    for _ in range(6000):
        pouring.step(np.pi, 0.02)
    assert pouring.volume < 0.005 * model.capacity


@given(some_model, st.floats(0.1, 0.9), st.floats(1e-6, 15e-6))
@settings(max_examples=60, deadline=None)
def test_tilt_for_a_flow_is_the_least(model, share, flow):
    volume = share * model.capacity
    tilt = model.tilt_for(volume, flow)
    assert model.flow(volume, tilt) == pytest.approx(flow, rel=1e-3)
    assert model.flow(volume, tilt - 1e-3) < flow
    assert model.onset(volume) < tilt
    assert model.flow(volume, model.onset(volume) - 1e-3) == 0


def test_a_flow_that_no_tilt_gives():
    assert models['bottle'].tilt_for(300e-6, 1e-3) == np.pi
    assert models['bottle'].tilt_for(0.0, 1e-6) == np.pi


def test_weir_of_a_low_head_follows_the_law():
    # Near its lowest point the round mouth is a parabola: q = C pi/4 sqrt(2 g) sqrt(2 R) h^2.
    head, radius = np.array([1e-5, 1e-4]), 0.03
    flow, section = over_lip(head, 0.5 * np.pi, radius, 0.62)
    law = 0.62 * np.pi / 4 * np.sqrt(2 * radius) * np.sqrt(2 * GRAVITY) * head**2
    np.testing.assert_allclose(flow, law, rtol=5e-3)
    np.testing.assert_allclose(section, 4 / 3 * np.sqrt(2 * radius) * head**1.5, rtol=5e-3)


def test_air_limits_what_leaves_a_narrow_neck():
    narrow = Outflow(Cavity([[0.04, 0], [0.04, 0.12], [0.01, 0.14], [0.01, 0.18]]))
    wide = Outflow(Cavity([[0.04, 0], [0.04, 0.12], [0.02, 0.14], [0.02, 0.18]]))
    assert wide.tables.most / narrow.tables.most == pytest.approx(2**2.5, rel=0.1)
    assert narrow.flow(500e-6, 3.0) == pytest.approx(narrow.tables.most)


def test_flow_follows_the_tilt_late_and_drips_without_speed():
    model = models['pourit_bottle']
    pouring = Pouring(model, 330e-6)
    tilt = model.tilt_for(330e-6, 12e-6)
    pouring.step(tilt, 0.01)
    assert 0 < pouring.flow < 0.2 * 12e-6
    for _ in range(40):
        pouring.step(tilt, 0.01)
    assert pouring.flow == pytest.approx(model.flow(pouring.volume, tilt), rel=0.1)
    assert 0.1 < pouring.exit_speed < 0.3
    assert model.exit_speed(330e-6, model.tilt_for(330e-6, 0.5 * DRIP)) == 0
    for _ in range(100):
        pouring.step(0.5, 0.01)
    assert pouring.flow == pouring.exit_speed == 0


def test_arrays_agree_with_single_numbers():
    model = models['cup']
    rng = np.random.default_rng(0)
    volume, tilt = rng.uniform(0, model.capacity, 50), rng.uniform(0, np.pi, 50)
    flow, speed = model.flows(volume, tilt)
    np.testing.assert_allclose(flow, [model.flow(v, t) for v, t in zip(volume, tilt, strict=True)])
    np.testing.assert_allclose(
        speed, [model.exit_speed(v, t) for v, t in zip(volume, tilt, strict=True)]
    )


def test_numbers_that_cannot_be():
    with pytest.raises(InputError, match='coefficient'):
        Outflow(TUBE, 2.0)
    with pytest.raises(InputError, match='do not go into a container that holds 283 ml'):
        Pouring(Outflow(TUBE), 300e-6)
    with pytest.raises(InputError, match='do not go into'):
        Pouring(Outflow(TUBE), float('nan'))


def test_lip_tilt_and_landing():
    cup = Container.load('cup')
    tilt, azimuth = 1.2, 0.7
    pose = turned(tilt, azimuth)
    assert tilt_of(cup, pose) == pytest.approx(tilt)
    lip = lip_of(cup, pose)
    circle = cup.rim_in(pose).circle(721)
    assert lip[2] == pytest.approx(circle[:, 2].min(), abs=1e-6)
    np.testing.assert_allclose(lip, circle[circle[:, 2].argmin()], atol=4e-4)

    place, velocity = departure(cup, pose, 0.3)
    np.testing.assert_array_equal(place, lip)
    np.testing.assert_allclose(velocity, 0.3 * np.array([np.cos(azimuth), np.sin(azimuth), 0]))
    landing = predicted_landing(place, velocity, lip[2] - 0.1)
    np.testing.assert_allclose(landing, lip + velocity * np.sqrt(0.2 / GRAVITY) - [0, 0, 0.1])
    np.testing.assert_array_equal(predicted_landing(place, velocity, lip[2] + 0.1), lip)
    # Beyond the horizontal it leaves along the wall.
    pose = turned(2.0)
    np.testing.assert_allclose(departure(cup, pose, 1.0)[1], cup.axis_in(pose))
    # Upright there is no side to it.
    assert np.linalg.norm(departure(cup, turned(0.0), 1.0)[1]) == 0
