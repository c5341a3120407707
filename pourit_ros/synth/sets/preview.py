# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fast images of scenes, for whole pours: one lamp with shadow, and the light of the room.

Still parts are cast with one ray per pixel, and more at edges; the stream is inserted as into any
other backdrop (`composite`). Clear walls look like white ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..render.composite import composite, key_light
from ..render.labels import SceneLabels, label_parts, mid_exposure, sub_pixels
from ..render.refraction import Hits, MeshTracer, facing, interpolated, reflect
from ..render.textures import texture
from ..scene.description import Material, SceneDescription
from ..scene.meshes import Mesh, merged
from ..scene.parts import Part, still_parts, stream_part
from ..scene.surroundings import from_panorama, irradiance, sampled
from .backdrops import lights_around, make_still

# Sub-pixels along each side of a pixel at an edge.
EDGE_SAMPLES = 3
# Where on the lamp the rays of an edge's sub-pixels aim, in turn, rad: evenly, by Roberts' R3
# sequence; the same everywhere, lest shadows' soft edges be grainy.
_TURN = np.arange(EDGE_SAMPLES**2)[:, None] * 1.2207440846057596 ** -np.arange(1, 4)
LAMP_PLACES = (0.12 * (_TURN % 1 - 0.5)).astype(np.float32)
# What plastic, wood and water mirror at right angles.
REFLECTANCE = 0.04
# What clear liquid standing in a container sends back from below its surface.
MURK = 0.35

Radiance = NDArray[np.float32]


@lru_cache(maxsize=32)
def _picture(material: Material) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The material's texture and its mean colour (3,); scenes of one sequence share them."""
    picture = texture(material)
    return picture, picture.mean(axis=(0, 1))


def preview(scene: SceneDescription) -> tuple[Radiance, SceneLabels]:
    """Radiance (H, W, 3), linear RGB, of a scene mid-exposure, and its exact labels."""
    parts = still_parts(scene)
    stream = stream_part(scene, mid_exposure(scene))
    labels = label_parts(scene, parts, stream)
    radiance = cast_still(scene, parts)
    if stream is not None:
        backdrop = make_still(scene, radiance, labels.still).backdrop
        mesh = stream.mesh.moved(scene.camera.T_base_cam.inverse())
        radiance = composite(backdrop, [mesh], scene.falling_liquid)
    return radiance, labels


def cast_still(scene: SceneDescription, parts: Sequence[Part]) -> Radiance:
    """Radiance (H, W, 3), linear RGB, of still parts; deterministic."""
    camera, shader = scene.camera.model, _Shader(scene, parts)
    width, height = camera.width, camera.height
    color, kind = shader.shade(camera.rays(sub_pixels(0, 0, width, height, 1)))
    color = color.reshape(height, width, 3)
    edges = cv2.morphologyEx(kind.reshape(height, width), cv2.MORPH_GRADIENT, np.ones((3, 3)))
    row, column = np.nonzero(edges)
    fine = np.column_stack([column, row])[:, None] + sub_pixels(0, 0, 1, 1, EDGE_SAMPLES)
    edge, _ = shader.shade(camera.rays(fine.reshape(-1, 2)))
    color[row, column] = edge.reshape(-1, EDGE_SAMPLES**2, 3).mean(axis=1)
    return color


class _Shader:
    """Shading of parts for rays from the camera, in the optical frame."""

    def __init__(self, scene: SceneDescription, parts: Sequence[Part]) -> None:
        meshes = [p.mesh for p in parts]
        self._mesh = merged(meshes).moved(scene.camera.T_base_cam.inverse())
        self._uv = np.concatenate([_uv(p.mesh) for p in parts]).astype(np.float32)
        self._tracer = MeshTracer(self._mesh)
        self._part = np.repeat(np.arange(len(parts)), [len(m.triangles) for m in meshes])
        material = [_material(p) for p in parts]
        self._color = np.array([_picture(m)[1] for m in material])
        printed = [k for k, p in enumerate(parts) if material[k].texture and p.mesh.uv is not None]
        self._pictures = {k: _picture(material[k])[0] for k in printed}
        self._roughness = np.array([m.roughness for m in material], np.float32)
        self._metal = np.array([m.kind == 'metal' for m in material])
        self._smooth = np.array([p.smooth for p in parts])
        a, b, c = self._mesh.vertices[self._mesh.triangles].transpose(1, 0, 2)
        self._facets = _unit(np.cross(b - a, c - a)).astype(np.float32)
        self._room = lights_around(scene)
        self._irradiance = irradiance(self._room)
        key, share = key_light(self._room)
        self._key = key.astype(np.float32)
        # What a surface that faces the lamp has from it, where a white room gives 1.
        area = np.sin(np.pi * (np.arange(len(self._room)) + 0.5) / len(self._room))
        mean = np.average(self._room.mean(axis=1), axis=0, weights=area)
        self._lamp = (4 * share * mean).astype(np.float32)

    def shade(self, rays: NDArray[np.float64]) -> tuple[Radiance, NDArray[np.uint16]]:
        """Radiance (N, 3) along rays (N, 3), and an index (N,) of the part, lit or in shade."""
        ray = _unit(rays).astype(np.float32)
        hits = self._tracer.hit(np.zeros_like(ray), ray)
        kind = np.zeros(len(ray), np.uint16)
        color = from_panorama(self._room, ray)
        found = hits.found
        color[found], kind[found] = self._surface(hits[found], ray[found])
        return color, kind

    def _surface(
        self, hits: Hits, ray: NDArray[np.float32]
    ) -> tuple[Radiance, NDArray[np.uint16]]:
        part = self._part[hits.triangle]
        albedo = self._albedo(hits, part)
        normal = np.where(self._smooth[part, None], hits.normal, self._facets[hits.triangle])
        normal = facing(normal, ray)
        light, hidden = self._light(hits.distance[:, None] * ray, normal)
        # Schlick's approximation, weaker on rough surfaces.
        smooth, metal = 1 - self._roughness[part, None], self._metal[part, None]
        straight = np.where(metal, albedo, np.float32(REFLECTANCE))
        grazing = (1 + (normal * ray).sum(axis=1, keepdims=True)) ** 5
        share = straight + np.maximum(smooth - straight, 0) * grazing
        ahead = reflect(ray, normal)
        sharp, dull = (from_panorama(p, ahead) for p in (self._room, self._irradiance))
        mirrored = dull + smooth**2 * (sharp - dull)
        color = (1 - share) * ~metal * albedo * light + share * mirrored
        return color, (1 + 2 * part + hidden).astype(np.uint16)

    def _albedo(self, hits: Hits, part: NDArray[np.intp]) -> NDArray[np.float32]:
        """Colour (N, 3) of the surface, of metal its reflectance."""
        color = self._color[part]
        for k, picture in self._pictures.items():
            here, size = part == k, len(picture)
            corners = self._mesh.triangles[hits.triangle[here]]
            u, v = interpolated(self._uv, corners, hits.weights[here]).T
            color[here] = sampled(picture, size * u - 0.5, size * (1 - v) - 0.5)
        return color

    def _light(
        self, points: NDArray[np.float32], normal: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Light (N, 3) on a matt surface, and whether (N,) the lamp is blocked."""
        towards = self._key + LAMP_PLACES[np.arange(len(points)) % len(LAMP_PLACES)]
        cosine = np.clip(normal @ self._key, 0, None)
        hidden = self._tracer.blocked(points + np.float32(1e-3) * normal, towards)
        lamp = (cosine * hidden)[:, None] * self._lamp
        light = from_panorama(self._irradiance, normal) - lamp
        return np.maximum(light, 0), hidden & (cosine > 0)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _uv(mesh: Mesh) -> NDArray[np.float64]:
    return np.zeros((len(mesh.vertices), 2)) if mesh.uv is None else mesh.uv


def _material(part: Part) -> Material:
    """The part's material; for standing liquid, the look of its surface."""
    if isinstance(part.material, Material):
        return part.material
    liquid = part.material
    clear = MURK * np.exp(-0.01 * np.asarray(liquid.absorption))
    r, g, b = clear + liquid.milkiness * (np.asarray(liquid.color) - clear)
    return Material('opaque', (float(r), float(g), float(b)), 0.05)
