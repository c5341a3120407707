# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pourit_ros.geometry import Pose
from pourit_ros.synth.scene.clutter import holder_parts, prop_mesh
from pourit_ros.synth.scene.containers import (
    SOURCES,
    TARGETS,
    cavity_mesh,
    fittings,
    random_shape,
    wall_mesh,
)
from pourit_ros.synth.scene.description import PROPS, Material, Prop
from pourit_ros.synth.scene.meshes import merged, vertex_normals
from pourit_ros.synth.scene.random import random_scene
from pourit_ros.synth.scene.standing import fill, rippled

KINDS = sorted({*SOURCES, *TARGETS})


def edges(mesh):
    """How many triangles share each edge, vertices at the same place counted once."""
    _, place = np.unique(np.round(mesh.vertices * 1e8).astype(int), axis=0, return_inverse=True)
    t = place.reshape(-1)[mesh.triangles]
    pairs = np.sort(t[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return np.unique(pairs, axis=0, return_counts=True)[1]


def volume(mesh):
    a, b, c = (mesh.vertices[mesh.triangles[:, k]] for k in range(3))
    return float(np.einsum('ij,ij->', a, np.cross(b, c)) / 6)


@pytest.mark.parametrize('kind', KINDS)
def test_the_wall_is_closed_and_of_its_volume(kind):
    shape = random_shape(kind, 12)
    # Both faces together bound the wall: no gap at the rim, none at the seam.
    shell = merged([wall_mesh(shape), cavity_mesh(shape)])
    assert (edges(shell) == 2).all()

    # Pappus, on the profile: the volume of a solid of revolution, up to the many-sided rings.
    profile = np.vstack([shape.outer, shape.inner[::-1]])
    r, z = profile.T
    r2, z2 = np.roll(r, -1), np.roll(z, -1)
    angle = np.linspace(0, 2 * np.pi, 4001)
    n = shape.corners
    square = (np.abs(np.cos(angle)) ** n + np.abs(np.sin(angle)) ** n) ** (-2 / n)
    turned = square[1:].mean() * np.pi / 3 * np.sum((z2 - z) * (r**2 + r * r2 + r2**2))
    if not shape.spout:
        assert volume(shell) == pytest.approx(turned, rel=2e-3)
    else:
        assert volume(shell) > turned > 0


@pytest.mark.parametrize('kind', KINDS)
def test_shapes_are_plausible(kind):
    shapes = [random_shape(kind, k) for k in range(1, 30)]
    assert len({s.height for s in shapes}) == len(shapes)
    for s in shapes:
        assert 0 < s.floor < s.height
        assert 0.006 < s.rim_radius <= s.radius
        assert (np.diff(s.inner[:, 1]) >= 0).all()
        # The wall has the stated thickness where it is straight, and is nowhere inside out.
        at = 0.5 * (s.floor + s.height)
        face = s.outer[: s.outer[:, 1].argmax() + 1]
        assert np.interp(at, face[:, 1], face[:, 0]) > s.inner_radius(at)
        for part in fittings(s):
            assert volume(part) > 0
            assert (edges(part) == 2).all()


def test_unknown_kind():
    with pytest.raises(ValueError, match="unknown container kind 'teapot'"):
        random_shape('teapot', 1)


def test_normals_point_out_of_the_wall():
    shape = random_shape('tumbler', 3)
    for mesh, sign in ((wall_mesh(shape), 1), (cavity_mesh(shape), -1)):
        middle = np.abs(mesh.vertices[:, 2] - 0.5 * shape.height) < 0.01
        outwards = mesh.vertices[middle] * [1, 1, 0]
        assert (sign * (vertex_normals(mesh)[middle] * outwards).sum(axis=1) > 0).all()


@pytest.mark.parametrize('tilt', [0.0, 0.6, 1.3, 1.9])
def test_standing_liquid_is_level_and_fills_the_cut(tilt):
    shape = random_shape('glass_bottle', 5)
    turn = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    cavity = cavity_mesh(shape).moved(Pose(turn, np.zeros(3)))
    level = float(np.quantile(cavity.vertices[:, 2], 0.4))
    liquid = fill(cavity, level)
    np.testing.assert_allclose(liquid.surface.vertices[:, 2], level)
    assert liquid.wet.vertices[:, 2].max() < level + 1e-9
    assert liquid.dry.vertices[:, 2].min() > level - 1e-9
    # Wet wall and surface enclose the liquid: the enclosed volume does not depend on the origin.
    body = merged([liquid.wet.flipped(), liquid.surface])
    v = body.vertices[body.triangles]
    area = 0.5 * np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0]).sum(axis=0)
    if level < (turn @ [0, 0, shape.height])[2] - shape.rim_radius:
        np.testing.assert_allclose(area, 0, atol=2e-6)
    assert volume(body) > 0


def test_the_surface_of_an_upright_glass_is_a_disc():
    shape = random_shape('tumbler', 9)
    level = 0.6 * shape.height
    surface = fill(cavity_mesh(shape), level).surface
    radius = shape.inner_radius(level)
    v = surface.vertices[surface.triangles]
    area = 0.5 * np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0])[:, 2]
    assert (area > 0).all()
    assert area.sum() == pytest.approx(np.pi * radius**2, rel=2e-3)

    waves = rippled(surface, np.array([0.0, 0, level]), 4)
    moved = np.abs(waves.vertices[:, 2] - level)
    assert 2e-4 < moved.max() < 4e-3
    rim = np.hypot(*surface.vertices[:, :2].T) > (1 - 1e-5) * radius
    assert rim.sum() > 40
    assert moved[rim].max() == 0


def test_taps_differ_in_nozzle_pipe_and_ribs():
    taps = [random_shape('tap', k) for k in range(60)]
    ribs = bent = heads = levers = 0
    for tap in taps:
        line, radius = tap.pipe[:, :3], tap.pipe[:, 3]
        np.testing.assert_allclose(line[0], [0, 0, 0.001])
        # Behind the nozzle: beside the stream, which falls along +z here, there is none of it.
        near = np.hypot(line[:, 0], line[:, 1]) < tap.radius
        assert line[near][:, 2].max() < 0.002
        assert 0.004 < radius.min() <= radius.max() < 0.02
        assert tap.rim_radius < tap.radius
        ribs += np.ptp(radius) > 0
        bent += line[-1, 2] < 0
        heads += tap.height > 0.041
        assert len(fittings(tap)) == 1 + len(tap.fixtures)
        levers += len(tap.fixtures) > 0
        assert all(np.isfinite(part.vertices).all() for part in fittings(tap))
    assert 10 < ribs < 40
    assert 8 < bent < 35
    assert heads > 15
    assert 25 < levers < 55


def test_an_empty_container_has_no_surface():
    cavity = cavity_mesh(random_shape('cup', 2))
    liquid = fill(cavity, -0.01)
    assert liquid.wet is None
    assert liquid.surface is None
    assert liquid.dry is cavity


@pytest.mark.parametrize('kind', PROPS)
def test_props_have_their_size(kind):
    size = (0.2, 0.01, 0.004) if kind != 'box' else (0.1, 0.2, 0.05)
    material = Material('opaque', (0.5, 0.5, 0.5))
    shape = random_shape('tumbler', 1)
    mesh = prop_mesh(Prop(kind, Pose.identity(), size, material, 8), shape)
    assert np.isfinite(mesh.vertices).all()
    extent = np.ptp(mesh.vertices, axis=0)
    assert extent.max() < 0.5
    if kind in ('straw', 'rod'):
        assert extent[2] == pytest.approx(0.2 + 0.01, abs=1e-6)
    if kind == 'wet_trail':
        # On the wall's outside, not in it.
        assert np.hypot(*mesh.vertices[:, :2].T).max() < shape.radius + 0.01


@pytest.mark.parametrize('kind', ['gripper', 'arm', 'hand'])
def test_holders_hold_the_source_and_leave_the_view_free(kind):
    scene = next(
        s for s in (random_scene(2, k, 'train') for k in range(60))
        if s.source.shape.kind == 'glass_bottle'
    )  # fmt: skip
    eye = scene.camera.T_base_cam.translation
    parts = holder_parts(kind, 5, scene.source, eye)
    points = np.concatenate([m.vertices for m, _ in parts])
    inside = scene.source.T_base_container.inverse().apply(points)
    on_it = (inside[:, 2] > 0) & (inside[:, 2] < scene.source.shape.height)
    assert np.hypot(*inside[on_it][:, :2].T).min() < scene.source.shape.radius + 0.02
    near = np.linalg.norm(points - eye, axis=1)
    assert near.min() > 0.15
    assert holder_parts('', 5, scene.source, eye) == []
