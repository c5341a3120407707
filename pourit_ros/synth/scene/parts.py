# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A scene as labelled triangle meshes, which engines render and labels cast."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...geometry import Pose
from .clutter import holder_parts, prop_mesh
from .containers import cavity_mesh, fittings, sleeve_mesh, wall_mesh
from .description import ContainerDescription, LiquidDescription, Material, SceneDescription
from .meshes import Mesh, faceted, merged, quad
from .standing import fill, rippled
from .stream import Stream

INSTANCES = (
    'none', 'table', 'wall', 'clutter', 'holder', 'source', 'target', 'liquid_source',
    'liquid_target', 'stream',
)  # fmt: skip
STREAM = INSTANCES.index('stream')
TABLE_HALF_WIDTH, TABLE_FRONT = 1.6, 1.9
# One picture of a surface covers so much of it, m.
TEXTURE_SIZE = 0.7
SLEEVED = ('pet_bottle', 'glass_bottle')


@dataclass(frozen=True, eq=False)
class Part:
    """A mesh in the base frame, of one instance (index into INSTANCES) and one material.

    `outside_ior`: refractive index on the side to which a clear part's normals point; `way` m (or
    (V,) per vertex): typical length of a straight way through a liquid behind it, 0 where there is
    none. `smooth`: shade across edges; `froth` (V,) 0..1: milkiness of a liquid at each vertex,
    None: the material's.
    """

    mesh: Mesh
    material: Material | LiquidDescription
    instance: int
    smooth: bool = True
    outside_ior: float = 1.0
    way: float | NDArray[np.float64] = 0.0
    liquid: LiquidDescription | None = None
    froth: NDArray[np.float64] | None = None

    @property
    def clear(self) -> bool:
        """Whether a depth sensor sees through it: clear walls and clear liquids."""
        if isinstance(self.material, LiquidDescription):
            return self.material.milkiness < 0.5
        return self.material.kind == 'clear' and (
            self.liquid is None or self.liquid.milkiness < 0.5
        )


def stream_part(scene: SceneDescription, time: float) -> Part | None:
    """The stream at a time, None while nothing is in the air."""
    surface = Stream(scene.flow).surface(time)
    if surface is None:
        return None
    froth = surface.froth if scene.flow.air else None
    return Part(surface.mesh, scene.falling_liquid, STREAM, way=surface.thickness, froth=froth)


def still_parts(scene: SceneDescription) -> list[Part]:
    """Everything but the stream."""
    parts = _room(scene)
    for other in scene.others:
        parts += _vessel(scene, other, 'clutter', 'clutter')
    target = scene.target.shape
    T_target = scene.target.T_base_container
    for prop in scene.props:
        mesh = prop_mesh(prop, target).moved(prop.T_base_prop)
        sharp = prop.kind in ('box', 'band')
        if sharp:
            mesh = faceted(mesh, max(prop.size))
        if prop.kind == 'wet_trail':
            # It runs along the target's wall, wherever that stands.
            mesh = mesh.moved(Pose(np.eye(3), T_target.translation))
        wet = prop.kind in ('wet_trail', 'drips')
        material: Material | LiquidDescription = scene.liquid if wet else prop.material
        parts.append(
            Part(mesh, material, _instance('clutter'), not sharp, way=0.002 if wet else 0.0)
        )
    for mesh, material in holder_parts(
        scene.holder, scene.holder_seed, scene.source, scene.camera.T_base_cam.translation
    ):
        flat = len(mesh.vertices) < 40
        parts.append(
            Part(faceted(mesh, 0.2) if flat else mesh, material, _instance('holder'), not flat)
        )
    impact = scene.flow.exit_point + scene.flow.exit_velocity * 0.12
    parts += _vessel(scene, scene.source, 'source', 'liquid_source')
    parts += _vessel(scene, scene.target, 'target', 'liquid_target', impact)
    return parts


def _instance(name: str) -> int:
    return INSTANCES.index(name)


def _room(scene: SceneDescription) -> list[Part]:
    room = scene.environment
    depth = room.table_depth + TABLE_FRONT
    corner = np.array([-TABLE_HALF_WIDTH, -TABLE_FRONT, 0.0])
    top = quad(corner, [2 * TABLE_HALF_WIDTH, 0, 0], [0, depth, 0])
    table = Part(
        _tiled(top, [2 * TABLE_HALF_WIDTH, depth]), scene.table, _instance('table'), False
    )
    edge = quad(corner + [0, depth, -0.04], [2 * TABLE_HALF_WIDTH, 0, 0], [0, 0, 0.04]).flipped()
    parts = [table, Part(_tiled(edge, [3.2, 0.04]), scene.table, _instance('table'), False)]
    if room.wall_distance > 0:
        wall = quad([-3.0, room.wall_distance, -1.2], [6.0, 0, 0], [0, 0, 3.0])
        parts.append(Part(_tiled(wall, [6.0, 3.0]), room.wall, _instance('wall'), False))
    return parts


def _tiled(mesh: Mesh, size: list[float]) -> Mesh:
    across = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size / TEXTURE_SIZE
    return Mesh(mesh.vertices, mesh.triangles, across)


def _vessel(
    scene: SceneDescription,
    vessel: ContainerDescription,
    name: str,
    liquid_name: str,
    impact: NDArray[np.float64] | None = None,
) -> list[Part]:
    T, shape, material = vessel.T_base_container, vessel.shape, vessel.material
    solid, liquid = _instance(name), scene.liquid
    parts = [Part(wall_mesh(shape).moved(T), material, solid)]
    extra = fittings(shape)
    if extra:
        parts.append(Part(merged(extra).moved(T), material, solid))
    if material.kind == 'clear' and shape.kind in SLEEVED:
        parts += _sleeve(vessel, solid)
    cavity = cavity_mesh(shape).moved(T)
    if vessel.level is None:
        return [*parts, Part(cavity, material, solid)]
    standing = fill(cavity, vessel.level)
    if material.kind != 'clear' or standing.wet is None:
        parts.append(Part(cavity, material, solid))
    else:
        if standing.dry is not None:
            parts.append(Part(standing.dry, material, solid))
        below = standing.wet
        if vessel.foam:
            layers = fill(below, vessel.level - vessel.foam)
            if layers.dry is not None:
                parts.append(_wetted(layers.dry, vessel, solid, foam_of(liquid)))
            below = layers.wet or below
        parts.append(_wetted(below, vessel, solid, liquid))
    if standing.surface is not None:
        surface = standing.surface
        if impact is not None:
            surface = rippled(surface, impact, scene.flow.seed)
        top = foam_of(liquid) if vessel.foam else liquid
        parts.append(Part(surface, top, _instance(liquid_name), way=0.02))
    return parts


def foam_of(liquid: LiquidDescription) -> LiquidDescription:
    """The foam on a liquid: opaque, and much paler."""
    r, g, b = (min(0.9, 0.62 + 0.35 * c) for c in liquid.color)
    return replace(liquid, milkiness=1.0, color=(r, g, b))


def _wetted(
    mesh: Mesh, vessel: ContainerDescription, instance: int, liquid: LiquidDescription
) -> Part:
    """A part of a clear wall's inner face with liquid behind it."""
    way = 1.6 * vessel.shape.radius
    return Part(mesh, vessel.material, instance, True, liquid.ior, way, liquid)


def _sleeve(vessel: ContainerDescription, instance: int) -> list[Part]:
    """The label of most bottles: a narrow one, or a film up to the shoulder."""
    rng = np.random.default_rng((vessel.material.seed, 2))
    if rng.random() < 0.35:
        return []
    low, high = rng.uniform(0.1, 0.25), rng.uniform(0.35, 0.68)
    r, g, b = (float(c) for c in rng.uniform(0.05, 0.9, 3))
    printed = Material(
        'opaque', (r, g, b), rng.uniform(0.2, 0.5), 1.5, 'label', vessel.material.seed
    )
    mesh = sleeve_mesh(vessel.shape, low, high).moved(vessel.T_base_container)
    return [Part(mesh, printed, instance)]
