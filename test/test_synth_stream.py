# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from pourit_ros.geometry.fall import GRAVITY, falling
from pourit_ros.synth.scene.description import (
    STYLES,
    Departures,
    FlowDescription,
    landing_point,
)
from pourit_ros.synth.scene.random import random_scene
from pourit_ros.synth.scene.stream import RAYLEIGH, Stream

UP = np.array([0.0, 0.0, 1.0])


def flow(**fields) -> FlowDescription:
    values = {
        'rate': 80e-6,
        'exit_point': np.array([0.02, -0.01, 0.25]),
        'exit_velocity': np.array([0.35, 0.1, -0.2]),
        'lip_half_width': 0.011,
        'start': -10.0,
        'stop': 10.0,
        'end_height': 0.08,
        'style': 'ripple',
        'splash': 0.0,
        'seed': 41,
    }
    return FlowDescription(**{**values, **fields})


def pieces(mesh):
    """Connected parts of a mesh as lists of triangles, by union of vertices at one place."""
    _, place = np.unique(np.round(mesh.vertices * 1e8).astype(int), axis=0, return_inverse=True)
    place = place.reshape(-1)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    t = place[mesh.triangles]
    pairs = t[:, [[0, 1], [1, 2]]].reshape(-1, 2)
    count = place.max() + 1
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(count, count))
    label = connected_components(graph, directed=False)[1][t[:, 0]]
    return [mesh.triangles[label == k] for k in np.unique(label)]


def volume(mesh, triangles=None):
    t = mesh.triangles if triangles is None else triangles
    a, b, c = (mesh.vertices[t[:, k]] for k in range(3))
    return float(np.einsum('ij,ij->', a, np.cross(b, c)) / 6)


def cut(mesh, triangles, height):
    """Centroid (3,) and area of the mesh's section at a height, by its triangles' crossings."""
    v = mesh.vertices[triangles]
    h = v[..., 2] - height
    ends = []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        crosses = (h[:, i] > 0) != (h[:, j] > 0)
        share = np.where(crosses, h[:, i] / np.where(crosses, h[:, i] - h[:, j], 1), np.nan)
        ends.append(v[:, i] + share[:, None] * (v[:, j] - v[:, i]))
    ends = np.stack(ends, axis=1)
    found = np.isfinite(ends[..., 0])
    kept = found.sum(axis=1) == 2
    segments = ends[kept][found[kept]].reshape(-1, 2, 3)
    # The section lies to the left of a segment that runs across its outward normal.
    normal = np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0])[kept]
    along = segments[:, 1] - segments[:, 0]
    wrong = along[:, 0] * normal[:, 1] - along[:, 1] * normal[:, 0] > 0
    segments[wrong] = segments[wrong][:, ::-1]
    a, b = segments[:, 0, :2], segments[:, 1, :2]
    cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    area = 0.5 * cross.sum()
    centre = ((a + b) * cross[:, None]).sum(axis=0) / (6 * area)
    return np.array([*centre, height]), area


@pytest.mark.parametrize('style', STYLES)
def test_every_piece_is_closed_and_of_positive_volume(style):
    surface = Stream(flow(style=style, splash=0.7)).surface(0.0)
    mesh = surface.mesh
    assert len(surface.thickness) == len(mesh.vertices)
    assert (surface.thickness > 0).all()
    for triangles in pieces(mesh):
        assert volume(mesh, triangles) > 0
        _, place = np.unique(
            np.round(mesh.vertices * 1e8).astype(int), axis=0, return_inverse=True
        )
        t = place.reshape(-1)[triangles]
        pairs = np.sort(t[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        assert (np.unique(pairs, axis=0, return_counts=True)[1] == 2).all()


@pytest.mark.parametrize('style', ['smooth', 'ripple', 'twist'])
def test_the_stream_carries_its_rate(style):
    f = flow(style=style)
    surface = Stream(f).surface(0.0)
    body = max(pieces(surface.mesh), key=len)
    v, drop = -f.exit_velocity[2], f.exit_point[2] - f.end_height
    fall = (np.sqrt(v * v + 2 * GRAVITY * drop) - v) / GRAVITY
    # What is in the air left within the time of the fall.
    assert volume(surface.mesh, body) == pytest.approx(f.rate * fall, rel=0.03)
    # The level section of a jet with speed v downwards: Q over v.
    # Necks take from one section what they give to the next.
    shares = []
    for z in np.linspace(0.1, 0.2, 15):
        down = np.sqrt(v * v + 2 * GRAVITY * (f.exit_point[2] - z))
        shares.append(cut(surface.mesh, body, z)[1] * down / f.rate)
    assert np.mean(shares) == pytest.approx(1, abs=0.04)


def test_a_smooth_jet_keeps_to_the_parabola_and_ends_at_the_surface():
    f = flow(style='smooth')
    surface = Stream(f).surface(0.0)
    straight = np.array(
        [falling(f.exit_point, f.exit_velocity, t) for t in np.linspace(0, 0.2, 2000)]
    )
    away = np.linalg.norm(surface.centre[:, None] - straight[None], axis=2).min(axis=1)
    assert away.max() < 3e-3
    np.testing.assert_allclose(surface.centre[0], f.exit_point, atol=1e-9)
    assert surface.centre[-1, 2] == pytest.approx(f.end_height, abs=1.5e-3)


@pytest.mark.parametrize('seed', range(6))
def test_the_landing_point_is_the_centre_of_the_section_in_the_rim_plane(seed):
    f = flow(seed=100 + seed, style=('smooth', 'ripple', 'twist')[seed % 3])
    stream = Stream(f)
    plane = np.array([0.0, 0.0, 0.13])
    for time in (0.0, 0.017):
        landing = stream.landing_point(time, plane, UP)
        mesh = stream.surface(time).mesh
        body = max(pieces(mesh), key=len)
        section, _ = cut(mesh, body, plane[2])
        assert landing[2] == pytest.approx(plane[2], abs=1e-9)
        assert np.linalg.norm(section - landing) < 3e-4


def test_landing_points_of_scenes_sway_about_the_free_fall():
    away = []
    for k in range(60):
        scene = random_scene(9, k, 'train')
        T = scene.target.T_base_container
        mouth, axis = scene.target.model.mouth_in(T), scene.target.model.axis_in(T)
        landing = Stream(scene.flow).landing_point(0.0, mouth, axis)
        if landing is not None:
            away.append(landing - landing_point(scene))
    away = np.array(away)
    assert len(away) > 45
    assert np.linalg.norm(away, axis=1).max() < 6e-3
    assert np.abs(away.mean(axis=0)).max() < 8e-4


def test_ripples_fall_with_the_liquid():
    # With nothing but what is frozen into the parcels, a later surface is the earlier one moved.
    stream = Stream(flow(style='ripple'))
    before, after = stream.surface(0.0), stream.surface(0.004)
    assert before.mesh.vertices.shape == after.mesh.vertices.shape
    moved = np.abs(before.mesh.vertices - after.mesh.vertices).max()
    assert 1e-4 < moved < 6e-3
    # A film is deterministic: the same instant is the same surface.
    again = Stream(flow(style='ripple')).surface(0.004)
    np.testing.assert_array_equal(again.mesh.vertices, after.mesh.vertices)


def test_a_pour_that_starts_and_one_that_stops():
    plane = np.array([0.0, 0.0, 0.13])
    starting = flow(start=0.0)
    assert Stream(starting).surface(-0.01) is None
    young = Stream(starting)
    lowest = young.surface(0.08).mesh.vertices[:, 2].min()
    head = falling(starting.exit_point, starting.exit_velocity, 0.08)
    assert lowest == pytest.approx(head[2], abs=2e-3)
    assert young.landing_point(0.08, plane, UP) is None
    assert young.landing_point(0.3, plane, UP) is not None

    stopping = Stream(flow(stop=0.0))
    tail = falling(starting.exit_point, starting.exit_velocity, 0.06)
    top = max(pieces(stopping.surface(0.06).mesh), key=len)
    highest = stopping.surface(0.06).mesh.vertices[top][..., 2].max()
    # Its end is rounded, tilted and has the jet's width.
    assert highest == pytest.approx(tail[2], abs=8e-3)
    assert stopping.surface(1.0) is None
    assert stopping.landing_point(1.0, plane, UP) is None


def test_parcels_keep_what_a_moving_source_gave_them():
    times = np.linspace(-1, 0.5, 40)
    points = np.column_stack([0.3 * times, 0 * times, 0.25 + 0.02 * times])
    velocities = np.column_stack([0.3 - 0.1 * times, 0 * times, -0.2 + 0 * times])
    moving = flow(
        departures=Departures(times, points, velocities), style='smooth',
        exit_point=points[-1], exit_velocity=velocities[-1],
    )  # fmt: skip
    surface = Stream(moving).surface(0.1)
    body = max(pieces(surface.mesh), key=len)
    for age in (0.05, 0.1):
        (p,), (v,) = moving.departed(np.array([0.1 - age]))
        np.testing.assert_allclose(p[0], 0.3 * (0.1 - age), atol=1e-12)
        expected = falling(p, v, age)
        centre, area = cut(surface.mesh, body, expected[2])
        # It sways by less than its radius.
        assert np.linalg.norm(centre - expected) < 0.5 * np.sqrt(area / np.pi)
    # It ends where the parcel that lands now was sent, not where the newest would end.
    assert surface.centre[-1, 2] == pytest.approx(moving.end_height, abs=1e-3)


def test_a_source_that_stands_still_needs_no_memory():
    still = flow(style='smooth')
    points, velocities = still.departed(np.array([-1.0, 0.0]))
    memory = flow(style='smooth', departures=Departures(np.array([-1.0, 0.0]), points, velocities))
    one, other = (Stream(f).surface(0.0) for f in (still, memory))
    # They sway differently.
    np.testing.assert_allclose(one.centre, other.centre, atol=4e-3)
    np.testing.assert_allclose(one.thickness.mean(), other.thickness.mean(), rtol=0.02)


def test_ripples_do_not_jump_when_the_end_does():
    points, velocities = flow().departed(np.zeros(1))
    memory = Departures(np.zeros(1), points, velocities)
    deep, short = (
        Stream(flow(end_height=z, departures=memory)).surface(3.0).centre for z in (0.08, 0.12)
    )
    at = np.linspace(0.14, 0.24, 20)
    for axis in (0, 1):
        one, other = (np.interp(-at, -c[:, 2], c[:, axis]) for c in (deep, short))
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_drops_keep_the_volume_of_their_thread_and_their_spacing():
    f = flow(style='breakup', rate=8e-6, end_height=-0.6, seed=3)
    stream = Stream(f)
    surface = stream.surface(0.0)
    speed = np.sqrt(f.speed**2 + 2 * GRAVITY * (f.exit_point[2] - surface.intact))
    thread = np.sqrt(f.rate / np.pi / speed)
    period = RAYLEIGH * thread / speed
    balls = [t for t in pieces(surface.mesh) if len(t) < 500]
    sizes = np.array([volume(surface.mesh, t) for t in balls])
    heights = np.array([surface.mesh.vertices[t][..., 2].mean() for t in balls])
    # Below the thread and not much smaller than its piece: the rest are satellites.
    kept = (heights < surface.intact) & (sizes > 0.5 * f.rate * period)
    drops, heights = sizes[kept], heights[kept]
    assert len(drops) > 8
    assert np.median(drops) == pytest.approx(f.rate * period, rel=0.45)
    v = f.exit_velocity[2]
    ages = (v + np.sqrt(v**2 + 2 * GRAVITY * (f.exit_point[2] - heights))) / GRAVITY
    expected = 1 + (ages.max() - ages.min()) / period
    assert len(drops) == pytest.approx(expected, abs=2.5)


def test_a_tap_and_a_lip_that_pours_straight_down():
    f = replace(flow(), exit_velocity=np.array([0, 0, -0.6]), lip_half_width=0.006)
    surface = Stream(f).surface(0.0)
    assert np.isfinite(surface.mesh.vertices).all()
    assert np.abs(surface.centre[:, :2] - f.exit_point[:2]).max() < 4e-3
