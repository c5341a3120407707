# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One image of how a mask becomes 3D: the camera image beside the scene and pouring plane."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry import Container, Pose, PouringPlane
from ..geometry.fall import UP
from ..pipeline import Frame, Observation, PourEstimate
from . import drawing as dr
from .clouds import cam_colours, scene_cloud
from .overlay import describe, draw_measurement, paint_mask, project, stream_curve, verdict
from .view3d import OrthographicView, viewing_axes

PANEL = 860
GAP = 20
HEADER = 92
FOOTER = 64
BACKGROUND: dr.Colour = (22, 25, 30)
PANEL_BACKGROUND: dr.Colour = (34, 38, 45)

GRID = 0.02
# Share of the 3D panel that the plane and both mouths take; the containers' bodies need the rest.
FILL = 0.58
AXIS_LENGTH = 0.07
# Turned this far from the plane's normal, both the plane's shape and the depth before and
# behind it show.
TURN = np.radians(38.0)
ELEVATION = np.radians(24.0)
# Optical frame of a level camera in a frame with z up: x right, y down, z forward.
LEVEL_CAMERA = Pose(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3))


def draw_lift(
    frame: Frame,
    observation: Observation,
    estimate: PourEstimate,
    source: Container,
    target: Container,
) -> NDArray[np.uint8]:
    """Draw how a mask becomes 3D: the measured image on the left, the scene in 3D on the right.

    frame, observation, estimate: input and output of a `PourPipeline`; source, target: its
    containers. Returns an RGB image (H, W, 3) uint8, always of one size.

    The 3D view is orthographic and true to scale, in three-quarter view of the pouring plane.
    Unknown parts (depth, a pose, the plane) are left out. Without the camera's pose, the view
    assumes a level camera. Raises InputError when mask and image differ in size.

    >>> from pourit_ros import Container, PourPipeline, Segmenter
    >>> from pourit_ros.formats.scenes import load_pourit_scene
    >>> bottle, cup = Container.load('pourit_bottle'), Container.load('cup')
    >>> pipeline = PourPipeline(Segmenter(), bottle, cup)
    >>> frame = load_pourit_scene('scene')[0]
    >>> observation, estimate = pipeline(frame)
    >>> draw_lift(frame, observation, estimate, bottle, cup).shape
    (1016, 1780, 3)
    """
    scene = _Scene.of(frame, observation, estimate, source, target)
    canvas = np.full((HEADER + PANEL + FOOTER, 2 * PANEL + 3 * GAP, 3), BACKGROUND, np.uint8)
    for k, panel in enumerate((_image_panel(scene), _view_panel(scene))):
        left = GAP + k * (PANEL + GAP)
        canvas[HEADER : HEADER + PANEL, left : left + PANEL] = panel
    _draw_header(canvas, frame.name, estimate)
    _draw_legend(canvas, scene)
    return canvas


@dataclass(frozen=True, eq=False)
class _Scene:
    """The things to draw; points in the base frame, m. None or empty: unknown."""

    frame: Frame
    observation: Observation
    estimate: PourEstimate
    grid: list[NDArray[np.float64]]
    quad: NDArray[np.float64] | None
    normal: NDArray[np.float64] | None
    source_axis: NDArray[np.float64] | None
    source_rim: NDArray[np.float64] | None
    target_rim: NDArray[np.float64] | None
    levelled: bool

    @classmethod
    def of(
        cls,
        frame: Frame,
        observation: Observation,
        estimate: PourEstimate,
        source: Container,
        target: Container,
    ) -> _Scene:
        levelled = frame.T_base_cam is None
        T = frame.T_base_cam or LEVEL_CAMERA
        frame = replace(frame, T_base_cam=T)
        source_axis = source_rim = target_rim = quad = normal = None
        grid: list[NDArray[np.float64]] = []
        if frame.T_cam_source is not None:
            pose = T @ frame.T_cam_source
            rim = source.rim_in(pose)
            mouth, axis = rim.mouth, rim.axis
            foot = mouth - axis * max(float((mouth - pose.translation) @ axis), AXIS_LENGTH)
            source_axis = np.array([foot, mouth, mouth + AXIS_LENGTH * axis])
            source_rim = rim.circle()
        if frame.T_base_target is not None and not levelled:
            target_rim = target.rim_in(frame.T_base_target).circle()
        if observation.cloud.plane is not None:
            known = [a for a in (source_axis, target_rim) if a is not None]
            known.append(T.apply(observation.cloud.points))
            if estimate.geometry.landing_point is not None:
                known.append(estimate.geometry.landing_point[None])
            quad, grid = _plane_grid(observation.cloud.plane, T, np.vstack(known))
            normal = T.rotate(observation.cloud.plane.normal)
        return cls(
            frame, observation, estimate, grid, quad, normal, source_axis, source_rim, target_rim,
            levelled,
        )  # fmt: skip

    @property
    def verdict(self) -> dr.Colour:
        return verdict(self.estimate.geometry.margin)


def _plane_grid(
    plane: PouringPlane, T_base_cam: Pose, points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Corners (4, 3) of the part of the plane around the points, and its grid lines (2, 3)."""
    origin, up = T_base_cam.apply(plane.point), T_base_cam.rotate(plane.up)
    along = np.cross(T_base_cam.rotate(plane.normal), up)
    flat = np.column_stack([(points - origin) @ along, (points - origin) @ up])
    low = np.floor(flat.min(axis=0) / GRID - 0.5).astype(int)
    high = np.ceil(flat.max(axis=0) / GRID + 0.5).astype(int)

    def at(s: float, z: float) -> NDArray[np.float64]:
        return np.asarray(origin + GRID * (s * along + z * up))

    lines = [np.array([at(s, low[1]), at(s, high[1])]) for s in range(low[0], high[0] + 1)]
    lines += [np.array([at(low[0], z), at(high[0], z)]) for z in range(low[1], high[1] + 1)]
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    return np.array([at(*c) for c in corners]), lines


def _image_panel(scene: _Scene) -> NDArray[np.uint8]:
    """The image, enlarged so that lines are crisp, with everything projected into it."""
    height, width = scene.frame.color.shape[:2]
    scale = PANEL / max(width, height)
    size = (round(width * scale), round(height * scale))
    smooth = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    image = np.asarray(cv2.resize(scene.frame.color, size, interpolation=smooth), np.uint8)
    mask = cv2.resize(scene.observation.segmentation.mask.astype(np.float32), size) > 0.5
    frame = replace(scene.frame, color=image, camera=scene.frame.camera.resize(*size), depth=None)
    paint_mask(image, mask)
    line = dr.line_width(image)
    faint = image.copy()
    for stroke in scene.grid:
        fine = np.linspace(stroke[0], stroke[1], 20)
        dr.polyline(faint, project(frame, fine), dr.PLANE, 1, halo=False)
    image = np.asarray(cv2.addWeighted(faint, 0.7, image, 0.3, 0), np.uint8)
    if scene.source_rim is not None and scene.source_axis is not None:
        dr.polyline(image, project(frame, scene.source_rim), dr.SOURCE, line, closed=True)
        axis = project(frame, scene.source_axis)
        dr.polyline(image, axis[:2], dr.SOURCE, 1)
        dr.arrow(image, axis[1], axis[2], dr.SOURCE, line)
    draw_measurement(image, scene.estimate.geometry, frame, scene.target_rim)
    panel = np.full((PANEL, PANEL, 3), PANEL_BACKGROUND, np.uint8)
    top, left = (PANEL - size[1]) // 2, (PANEL - size[0]) // 2
    panel[top : top + size[1], left : left + size[0]] = image
    return panel


def _view_panel(scene: _Scene) -> NDArray[np.uint8]:
    """The scene in 3D."""
    assert scene.frame.T_base_cam is not None
    T = scene.frame.T_base_cam
    cloud, colours = scene_cloud(scene.frame)
    cloud = T.apply(cloud)
    liquid = T.apply(scene.observation.cloud.points)
    focus = [a for a in (scene.source_axis, scene.target_rim, scene.quad) if a is not None]
    if len(liquid):
        focus.append(liquid)
    if not focus:
        focus.append(cloud if len(cloud) else T.apply([[0.0, 0.0, 0.5]]))
    points = np.vstack(focus)
    view = _fit_view(_viewing_direction(scene, points.mean(axis=0)), points)

    geometry = scene.estimate.geometry
    # A pixel's footprint at the subject, so that splats close up; an oblique view spreads them.
    pixel = _subject_distance(T, points) / scene.frame.camera.fx
    view.points(cloud, np.round(0.82 * colours + 0.18 * 128), 2.0 * pixel)
    view.points(liquid, cam_colours(scene.observation.cloud.intensity), 2.0 * pixel)
    if scene.quad is not None:
        view.quad(scene.quad, dr.PLANE, 0.16)
        for stroke in scene.grid:
            view.line(stroke, dr.PLANE, 0.5, halo=False)
    if scene.source_axis is not None and scene.source_rim is not None:
        view.line(scene.source_rim, dr.SOURCE, 2)
        view.line(scene.source_axis[:2], dr.SOURCE, 1)
        view.arrow(scene.source_axis[1], scene.source_axis[2], dr.SOURCE, 2)
    if scene.target_rim is not None:
        view.line(scene.target_rim, scene.verdict, 3)
    seen, unseen = stream_curve(geometry)
    view.line(unseen, dr.STREAM, 1.5)
    view.line(seen, dr.STREAM, 3)
    if geometry.landing_point is not None:
        dr.cross(view.image, view.project(geometry.landing_point)[0][0], 14, scene.verdict, 5)
    if geometry.lowest_point is not None:
        dr.disc(view.image, view.project(geometry.lowest_point)[0][0], 9, dr.LOWEST)
    image = view.finish()
    _draw_triad(image, view.forward, scene.levelled)
    _draw_scale_bar(image, view.scale * PANEL / view.depth.shape[0])
    return image


def _viewing_direction(scene: _Scene, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction of the three-quarter view, from the side that the camera sees."""
    assert scene.frame.T_base_cam is not None
    sight = centre - scene.frame.T_base_cam.translation
    sight[2] = 0
    if np.linalg.norm(sight) < 1e-3:
        sight = np.array([1.0, 0.0, 0.0])
    sight /= np.linalg.norm(sight)
    facing = sight
    if scene.normal is not None:
        facing = scene.normal * (1.0 if scene.normal @ sight >= 0 else -1.0)
    options = [
        np.cos(TURN) * facing + np.sin(sign * TURN) * np.cross(UP, facing) for sign in (-1, 1)
    ]
    level = max(options, key=lambda option: float(option @ sight))
    return np.asarray(np.cos(ELEVATION) * level - np.sin(ELEVATION) * UP)


def _fit_view(forward: NDArray[np.float64], points: NDArray[np.float64]) -> OrthographicView:
    """A view in which the points fill most of the panel."""
    _, right, up = viewing_axes(forward)
    flat = np.column_stack([points @ right, points @ up])
    low, high = flat.min(axis=0), flat.max(axis=0)
    middle = (low + high) / 2
    centre = points.mean(axis=0)
    centre = centre + (middle[0] - centre @ right) * right + (middle[1] - centre @ up) * up
    extent = max(float((high - low).max()), 0.1)
    return OrthographicView(PANEL, PANEL, forward, centre, FILL * PANEL / extent, PANEL_BACKGROUND)


def _subject_distance(T_base_cam: Pose, points: NDArray[np.float64]) -> float:
    return float(np.median(np.linalg.norm(points - T_base_cam.translation, axis=1)))


def _draw_triad(image: NDArray[np.uint8], forward: NDArray[np.float64], levelled: bool) -> None:
    """The base frame's axes and gravity, as directions, in the bottom left corner."""
    _, right, up = viewing_axes(forward)
    length = 62.0
    origin = np.array([92.0, PANEL - 96.0])

    def tip(axis: NDArray[np.float64], reach: float = length) -> NDArray[np.float64]:
        return origin + reach * np.array([axis @ right, -(axis @ up)])

    dr.shade(image, (0, PANEL - 190, 186, 190), PANEL_BACKGROUND, 0.75)
    note = 'camera taken as level' if levelled else 'base frame'
    dr.put_text(image, note, 20, PANEL - 16, 11, dr.MUTED)
    dr.arrow(image, origin, tip(-UP, 0.9 * length), dr.MUTED, 2)
    dr.put_text(image, 'g', tip(-UP, 0.9 * length)[0] + 10, tip(-UP)[1] - 4, 12, dr.MUTED)
    if levelled:
        return
    ink = ((235, 87, 87), (72, 199, 116), (86, 148, 255))
    axes = sorted(range(3), key=lambda k: -float(np.eye(3)[k] @ forward))
    for k in axes:
        dr.arrow(image, origin, tip(np.eye(3)[k]), ink[k], 3)
        label = tip(np.eye(3)[k], length + 16)
        dr.put_text(image, 'xyz'[k], label[0] - 5, label[1] + 5, 12, ink[k])


def _draw_scale_bar(image: NDArray[np.uint8], pixels_per_metre: float) -> None:
    """A bar of a round number of centimetres in the bottom right corner."""
    length = max(c for c in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
                 if c == 0.01 or c * pixels_per_metre < 0.3 * PANEL)  # fmt: skip
    right, y = PANEL - 24.0, PANEL - 24.0
    left = right - length * pixels_per_metre
    dr.shade(image, (round(left) - 16, PANEL - 64, PANEL, 64), PANEL_BACKGROUND, 0.75)
    for stroke in ([[left, y], [right, y]], [[left, y - 6], [left, y + 6]],
                   [[right, y - 6], [right, y + 6]]):  # fmt: skip
        dr.polyline(image, stroke, dr.PAPER, 2, halo=False)
    text = f'{100 * length:.0f} cm'
    dr.put_text(image, text, (left + right - dr.text_size(text, 12)[0]) / 2, y - 14, 12, dr.PAPER)


def _draw_header(canvas: NDArray[np.uint8], name: str, estimate: PourEstimate) -> None:
    """Frame name, and the measurement or the reason for its absence."""
    dr.put_text(canvas, name, GAP, 40, 19, dr.PAPER, bold=True)
    height = 14.0
    while True:
        lines = dr.wrap(describe(estimate), canvas.shape[1] - 2 * GAP, height)
        if len(lines) * 1.6 * height <= 44 or height < 8:
            break
        height -= 0.5
    for k, line in enumerate(lines):
        x = float(GAP)
        for text, colour in line:
            dr.put_text(canvas, text, x, 74 + 1.6 * height * k, height, colour)
            x += dr.text_size(text + ' mm', height)[0]


def _draw_legend(canvas: NDArray[np.uint8], scene: _Scene) -> None:
    """Name the colours in the image."""
    geometry = scene.estimate.geometry
    seen = bool(scene.observation.segmentation.mask.any())
    landing = '' if geometry.landing_point is None else ' and landing point'
    entries: list[tuple[str, dr.Colour, bool]] = [
        ('liquid mask (3D: coloured by CAM)', dr.LIQUID, seen),
        (f'pouring plane, {100 * GRID:.0f} cm grid', dr.PLANE, scene.quad is not None),
        ('source mouth and axis', dr.SOURCE, scene.source_axis is not None),
        ('fitted free fall', dr.STREAM, geometry.stream is not None),
        ('lowest point', dr.LOWEST, geometry.lowest_point is not None),
        (f'target rim{landing}', scene.verdict, scene.target_rim is not None),
    ]
    x, y = float(GAP), HEADER + PANEL + 38.0
    for text, colour, shown in entries:
        if shown:
            dr.disc(canvas, (x + 8, y - 6), 7, colour)
            dr.put_text(canvas, text, x + 26, y, 12.5, dr.PAPER)
            x += 26 + dr.text_size(text, 12.5)[0] + 36
