# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pourit_ros.geometry import PinholeCamera
from pourit_ros.synth.render.composite import Backdrop, composite, label_stream
from pourit_ros.synth.scene.description import LiquidDescription
from pourit_ros.synth.scene.meshes import Mesh, box
from pourit_ros.synth.scene.meshes import sphere as ball_at_origin
from pourit_ros.synth.scene.surroundings import (
    Surroundings,
    from_panorama,
    panorama_directions,
    panorama_pixels,
)


def liquid(ior, absorption=(0.0, 0.0, 0.0), milkiness=0.0, color=(1.0, 1.0, 1.0)):
    return LiquidDescription('made up', absorption, milkiness, color, ior)


CAMERA = PinholeCamera(160, 160, 190.0, 190.0, 79.5, 79.5)
WATER = liquid(1.333, (3.0, 1.0, 0.5))
MILK = liquid(1.35, milkiness=1.0, color=(0.9, 0.88, 0.8))


def everywhere(points):
    return np.ones(len(points), bool)


def sphere(centre, radius, segments=96):
    ball = ball_at_origin(radius, segments, segments)
    return Mesh(ball.vertices + centre, ball.triangles)


def backdrop(wall=1.0, tone=None, glossy=None):
    """A wall that fills the picture, with a smooth colour gradient, in a room that goes on."""
    v, u = np.mgrid[:160, :160].astype(np.float32)
    if tone is None:
        picture = np.stack([0.2 + u / 320, 0.2 + v / 320, 0.5 - u / 640], axis=-1)
    else:
        picture = np.full((160, 160, 3), tone, np.float32)
    depth = np.full((160, 160), wall, np.float32)
    room = np.full((32, 64, 3), 0.3 if tone is None else tone, np.float32)
    shiny = np.zeros((160, 160), bool) if glossy is None else glossy
    up = np.array([0, -1.0, 0])
    return Backdrop(CAMERA, picture.astype(np.float32), depth, depth.copy(), shiny, up, room)


def test_a_body_that_bends_and_absorbs_nothing_is_invisible():
    scene = backdrop()
    nothing = liquid(1.0)
    made = composite(scene, [sphere([0, 0, 0.5], 0.03)], nothing, softness=0.0)
    labels = label_stream(scene, sphere([0, 0, 0.5], 0.03), everywhere)
    seen = labels.visible > 0.99
    assert seen.sum() > 350
    # The even room has no key light worth a shadow: 12 degrees of it are about 2 % of the sky.
    np.testing.assert_allclose(made[seen], scene.radiance[seen], rtol=0.02, atol=0.006)


def test_a_slab_absorbs_by_beer_and_lambert():
    scene = backdrop(tone=0.5)
    depth = 0.02
    slab = box([0, 0, 0.5], [0.1, 0.1, depth])
    tea = liquid(1.0001, (20.0, 60.0, 200.0))
    made = composite(scene, [slab], tea, softness=0.0)
    expected = 0.5 * np.exp(-np.array(tea.absorption) * depth)
    np.testing.assert_allclose(made[79, 79], expected, rtol=0.02)


def test_a_ball_of_water_turns_the_picture_behind_it_over():
    scene = backdrop()
    made = composite(scene, [sphere([0, 0, 0.5], 0.03)], WATER, softness=0.0)
    row = made[79, 72:88, 0]
    assert scene.radiance[79, 87, 0] > scene.radiance[79, 72, 0]
    assert row[0] > row[-1] + 0.05


def test_an_even_room_shows_no_clear_water():
    """Whatever is bent and mirrored, where all is alike (a furnace test)."""
    scene = backdrop(tone=0.5)
    clear = liquid(1.333)
    made = composite(scene, [sphere([0.01, -0.02, 0.5], 0.03)], clear, softness=0.0)
    labels = label_stream(scene, sphere([0.01, -0.02, 0.5], 0.03), everywhere)
    inside = labels.visible == 1
    assert np.abs(made[inside] / 0.5 - 1).max() < 0.05


def test_labels_are_exact():
    centre, radius = np.array([0.02, -0.01, 0.5]), 0.03
    labels = label_stream(backdrop(), sphere(centre, radius, 400), everywhere)
    # Perspective image of a sphere: the cone of half angle asin(r/d) cuts the image plane.
    v, u = np.mgrid[:640, :640] / 4.0 - 0.375
    rays = CAMERA.rays(np.column_stack([u.ravel(), v.ravel()]))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    along = rays @ centre
    inside = along**2 - centre @ centre + radius**2
    exact = (inside > 0).reshape(160, 4, 160, 4).mean(axis=(1, 3))
    assert np.abs(labels.visible - exact).sum() * 16 < 12
    v, u = np.mgrid[:160, :160]
    rays = CAMERA.rays(np.column_stack([u.ravel(), v.ravel()]))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    along = rays @ centre
    inside = np.maximum(along**2 - centre @ centre + radius**2, 0)
    z = ((along - np.sqrt(inside)) * rays[:, 2]).reshape(160, 160)
    both = (labels.visible == 1) & (exact == 1)
    assert np.abs(labels.depth[both] - z[both]).max() < 1e-4


def test_nearer_things_hide_the_stream_and_glass_does_not():
    scene = backdrop()
    near = np.full((160, 160), 1.0, np.float32)
    near[:, 80:] = 0.4
    stream = sphere([0, 0, 0.5], 0.03)
    hidden = Backdrop(CAMERA, scene.radiance, near, near, scene.glossy, scene.up, scene.room)
    labels = label_stream(hidden, stream, everywhere)
    assert labels.visible[:, 80:].max() == 0
    assert labels.visible[:, :80].sum() == pytest.approx(np.pi * (190 * 0.03 / 0.5) ** 2 / 2, 0.05)
    made = composite(hidden, [stream], MILK, softness=0.0)
    shade = composite(hidden, [sphere([9, 9, 0.5], 0.03)], MILK, softness=0.0)
    np.testing.assert_array_equal(made[:, 80:].shape, shade[:, 80:].shape)
    assert np.abs(made[:, 82:] - hidden.radiance[:, 82:]).max() < 0.03

    glass = Backdrop(
        CAMERA, scene.radiance, near, scene.opaque, scene.glossy, scene.up, scene.room
    )
    labels = label_stream(glass, stream, everywhere)
    assert labels.visible[:, 80:].max() == 0
    assert labels.through[79, 84] == 1
    assert not np.isfinite(labels.depth[79, 84])
    behind = composite(glass, [stream], MILK, softness=0.0)
    assert np.abs(behind[79, 84] - glass.radiance[79, 84]).max() > 0.02


def test_nothing_changes_outside_the_stream_but_its_shadow():
    scene = backdrop()
    stream = sphere([0, 0, 0.3], 0.02)
    made = composite(scene, [stream], WATER, softness=0.4)
    cover = label_stream(scene, stream, everywhere).through
    import cv2

    away = cv2.dilate((cover > 0).astype(np.uint8), np.ones((7, 7))) == 0
    ratio = made[away] / scene.radiance[away]
    assert ratio.max() < 1 + 1e-5
    assert ratio.min() > 0.9


def test_a_moving_stream_is_blurred():
    scene = backdrop()
    path = [sphere([0, y, 0.5], 0.02) for y in (-0.02, 0.0, 0.02)]
    still = composite(scene, path[1:2], MILK, softness=0.0)
    moved = composite(scene, path, MILK, softness=0.0)
    change = [np.abs(m - scene.radiance).sum(axis=-1) > 0.05 for m in (still, moved)]
    assert change[1].sum() > 1.3 * change[0].sum()


def test_a_glossy_table_mirrors_the_stream():
    glossy = np.zeros((160, 160), bool)
    glossy[90:] = True
    scene = backdrop(glossy=glossy)
    v = np.arange(160, dtype=np.float32)
    # A table 0.1 m below the camera, in front of a wall at 1 m.
    table = np.minimum(0.1 * 190 / np.maximum(v - 79.5, 1e-3), 1.0)
    depth = np.repeat(np.where(v > 79.5, table, 1.0)[:, None], 160, axis=1).astype(np.float32)
    shiny = Backdrop(CAMERA, scene.radiance, depth, depth, depth < 0.99, scene.up, scene.room)
    dull = Backdrop(
        CAMERA, scene.radiance, depth, depth, np.zeros_like(glossy), scene.up, scene.room
    )
    stream = sphere([0, 0.02, 0.5], 0.03)
    one, other = (composite(p, [stream], MILK, softness=0.0) for p in (shiny, dull))
    difference = np.abs(one - other).max(axis=-1)
    mirrored = 79.5 + 190 * (0.2 - 0.02) / 0.5
    rows = np.nonzero(difference.max(axis=1) > 0.003)[0]
    assert rows.min() > 100
    assert abs(rows.mean() - mirrored) < 8


def test_panorama_pixels_and_directions_agree():
    direction = panorama_directions(24, 48).reshape(-1, 3)
    u, v = panorama_pixels(direction, (24, 48))
    row, column = np.mgrid[:24, :48]
    np.testing.assert_allclose(u, column.ravel(), atol=1e-3)
    np.testing.assert_allclose(v, row.ravel(), atol=1e-3)


def test_panoramas_go_round():
    panorama = np.random.default_rng(0).random((8, 16, 3)).astype(np.float32)
    left, right = (
        from_panorama(panorama, np.array([[s * 1e-4, 0.3, -0.9]], np.float32)) for s in (-1, 1)
    )
    np.testing.assert_allclose(left, right, atol=1e-3)


def test_rays_find_the_wall_behind():
    scene = backdrop(wall=0.8)
    around = Surroundings(scene.radiance, scene.opaque, CAMERA, scene.room)
    none = np.zeros((0, 3), np.float32)
    assert around.seen(none, none).shape == (0, 3)
    start = np.array([[0.02, 0.01, 0.4]], np.float32)
    end = np.array([0.1, -0.05, 0.8], np.float32)
    along = ((end - start) / np.linalg.norm(end - start)).astype(np.float32)
    u, v = CAMERA.project(end)[0]
    expected = [0.2 + u / 320, 0.2 + v / 320, 0.5 - u / 640]
    np.testing.assert_allclose(around.seen(start, along)[0], expected, atol=0.02)
