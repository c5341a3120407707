# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find and start Mitsuba 3 with its LLVM back end; build its meshes and materials."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...geometry import PinholeCamera, Pose
from ..scene.description import EnvironmentDescription, LiquidDescription, Material
from ..scene.meshes import vertex_normals
from ..scene.parts import Part
from .environment import panorama
from .textures import texture

VARIANT = 'llvm_ad_rgb'
# LLVM 15 aborts the process on Mitsuba's kernels ("Cannot select fminimum").
OLDEST_LLVM = 16
NEWEST_LLVM = 30
FOLDERS = (
    '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib',
    '/usr/local/lib', '/opt/homebrew/opt/llvm/lib', '/usr/local/opt/llvm/lib',
)  # fmt: skip
# Paths of light: enough to go in and out of two glasses and the stream.
DEPTH, ROULETTE_DEPTH = 14, 8
CLIPPED_AT = 0.97
# Of diffuse light, by a liquid's surface from outside.
OUTER_REFLECTION = 0.05


def find_llvm() -> Path:
    """The newest usable LLVM shared library; raises InputError without any.

    DRJIT_LIBLLVM_PATH names one explicitly.
    """
    named = os.environ.get('DRJIT_LIBLLVM_PATH')
    if named:
        if not Path(named).is_file():
            raise InputError(f'DRJIT_LIBLLVM_PATH={named}: no such file')
        return Path(named)
    for version in range(NEWEST_LLVM, OLDEST_LLVM - 1, -1):
        # Debian's file until 18, from 19 on, LLVM's own packages, Homebrew.
        folders = (f'/usr/lib/llvm-{version}/lib', f'/usr/lib64/llvm{version}/lib', *FOLDERS)
        for folder in folders:
            for name in (f'libLLVM-{version}.so*', f'libLLVM.so.{version}*',
                         f'libLLVM.{version}*.dylib'):  # fmt: skip
                found = sorted(Path(folder).glob(name))
                if found:
                    return found[0]
    raise InputError(
        f'no LLVM shared library of version {OLDEST_LLVM} or later: install one '
        '(Debian, Ubuntu: libllvm19) or set DRJIT_LIBLLVM_PATH'
    )


@lru_cache(maxsize=1)
def load_mitsuba() -> Any:
    """The `mitsuba` module, ready to render; raises InputError.

    It uses one thread per process: sets are made by one process per core, and the sums of a single
    thread are reproducible.
    """
    os.environ.setdefault('OIDN_NUM_THREADS', '1')
    # Pinned threads of several processes would all sit on the first core.
    os.environ.setdefault('OIDN_SET_AFFINITY', '0')
    try:
        import mitsuba as mi
        import pyoidn  # noqa: F401 - better missing now than after the rendering
    except ImportError as error:
        raise InputError(f'{error.name} is not installed: pip install ".[synth]"') from None
    os.environ['DRJIT_LIBLLVM_PATH'] = str(find_llvm())
    try:
        mi.set_variant(VARIANT)
        import drjit as dr

        dr.set_thread_count(1)
        # An attempt shows whether the library can be used at all.
        dr.eval(mi.Float([0.0, 1.0]) + 1)
    except (ImportError, RuntimeError) as error:
        line = str(error).strip().splitlines()[-1:]
        raise InputError(f'Mitsuba does not start: {" ".join(line)}') from None
    mi.set_log_level(mi.LogLevel.Error)
    return mi


def mesh_of(part: Part, name: str) -> Any:
    """A Mitsuba mesh with its material."""
    mi = load_mitsuba()
    properties = mi.Properties()
    tinted = isinstance(part.material, LiquidDescription) and isinstance(part.way, np.ndarray)
    properties['mesh_bsdf'] = mi.load_dict(_bsdf(part, tinted))
    mesh, uv = part.mesh, part.mesh.uv
    made = mi.Mesh(
        name, len(mesh.vertices), len(mesh.triangles), has_vertex_normals=part.smooth,
        has_vertex_texcoords=uv is not None, props=properties,
    )  # fmt: skip
    fields = mi.traverse(made)
    fields['vertex_positions'] = mesh.vertices.astype(np.float32).ravel()
    fields['faces'] = mesh.triangles.astype(np.uint32).ravel()
    if part.smooth:
        fields['vertex_normals'] = vertex_normals(mesh).astype(np.float32).ravel()
    if uv is not None:
        fields['vertex_texcoords'] = uv.astype(np.float32).ravel()
    fields.update()
    if tinted:
        assert isinstance(part.material, LiquidDescription)
        made.add_attribute('vertex_tint', 3, _tint(part.material, part.way).ravel())
    if part.froth is not None:
        made.add_attribute('vertex_froth', 1, part.froth.astype(np.float32))
    return made


def sensor_of(
    camera: PinholeCamera,
    T_base_cam: Pose,
    box: tuple[int, int, int, int] | None = None,
) -> dict[str, Any]:
    """The camera, or the box x0, y0, x1, y1 (exclusive) of its image."""
    transform = load_mitsuba().ScalarTransform4f
    eye, R = T_base_cam.translation, T_base_cam.rotation
    width, height = camera.width, camera.height
    film: dict[str, Any] = {
        'type': 'hdrfilm', 'width': width, 'height': height, 'rfilter': {'type': 'box'},
        'pixel_format': 'rgb', 'component_format': 'float32',
    }  # fmt: skip
    if box is not None:
        x0, y0, x1, y1 = box
        film |= {'crop_offset_x': x0, 'crop_offset_y': y0}
        film |= {'crop_width': x1 - x0, 'crop_height': y1 - y0}
    return {
        'type': 'perspective',
        'fov_axis': 'x',
        'fov': float(np.degrees(2 * np.arctan(0.5 * width / camera.fx))),
        # Pixel centres lie at integers here, at halves there.
        'principal_point_offset_x': (0.5 * width - camera.cx - 0.5) / width,
        'principal_point_offset_y': (0.5 * height - camera.cy - 0.5) / height,
        'near_clip': 0.01,
        'far_clip': 50.0,
        'to_world': transform().look_at(
            origin=eye.tolist(), target=(eye + R[:, 2]).tolist(), up=(-R[:, 1]).tolist()
        ),
        'sampler': {'type': 'independent'},
        'film': film,
    }


def emitters_of(environment: EnvironmentDescription) -> dict[str, Any]:
    """Panorama and lamps."""
    mi = load_mitsuba()
    transform = mi.ScalarTransform4f
    room = panorama(environment)
    width = room.shape[1]
    # Mitsuba's columns turn from +y towards +x once its y axis has been set upright.
    turn = (0.75 - (np.arange(width) + 0.5) / width) % 1
    bitmap = mi.Bitmap(np.ascontiguousarray(room[:, (turn * width).astype(int) % width]))
    upright = transform().rotate([1, 0, 0], 90)
    emitters: dict[str, Any] = {'room': {'type': 'envmap', 'bitmap': bitmap, 'to_world': upright}}
    for k, lamp in enumerate(environment.lights):
        place = transform().look_at(
            origin=list(lamp.position), target=[0.0, 0.0, 0.15], up=[0.01, 1, 0]
        )
        scale = [0.5 * lamp.size[0], 0.5 * lamp.size[1], 1.0]
        emitters[f'lamp{k}'] = {
            'type': 'rectangle',
            'to_world': place.scale(scale),
            'emitter': {'type': 'area', 'radiance': _rgb(lamp.radiance)},
        }
    return emitters


def integrator() -> dict[str, Any]:
    """Path tracing with the extra outputs for the denoiser."""
    path = {'type': 'path', 'max_depth': DEPTH, 'rr_depth': ROULETTE_DEPTH}
    return {'type': 'aov', 'aovs': 'albedo:albedo,normal:sh_normal', 'light': path}


def _rgb(color: Any) -> dict[str, Any]:
    return {'type': 'rgb', 'value': [float(c) for c in color]}


def _tint(liquid: LiquidDescription, way: float | NDArray[np.float64]) -> NDArray[np.float32]:
    """Beer-Lambert absorption over half the `way`, since light crosses two surfaces on it."""
    exponent = -0.5 * np.multiply.outer(np.asarray(way), np.asarray(liquid.absorption))
    return np.exp(exponent).astype(np.float32)


def _bsdf(part: Part, tinted: bool) -> dict[str, Any]:
    material = part.material
    if isinstance(material, LiquidDescription):
        if tinted:
            through: Any = {'type': 'mesh_attribute', 'name': 'vertex_tint'}
        else:
            through = _rgb(_tint(material, part.way))
        clear = _dielectric(material.ior, part.outside_ior, through)
        return _liquid(material, clear, part.froth is not None)
    if material.kind == 'clear':
        # Light crosses both faces of a wall: each takes half of what the wall takes.
        color = np.sqrt(np.asarray(material.color))
        if part.liquid is not None:
            color = color * _tint(part.liquid, part.way)
        glass = _dielectric(material.ior, part.outside_ior, _rgb(color))
        return glass if part.liquid is None else _liquid(part.liquid, glass)
    return _solid(material, part.mesh.uv is not None)


def _dielectric(inside: float, outside: float, transmittance: Any) -> dict[str, Any]:
    return {
        'type': 'dielectric', 'int_ior': inside, 'ext_ior': outside,
        'specular_transmittance': transmittance,
    }  # fmt: skip


def _liquid(
    liquid: LiquidDescription, clear: dict[str, Any], frothy: bool = False
) -> dict[str, Any]:
    """Clear, milky, or in between: a share of the light is scattered below the surface.

    `frothy`: the share is that of the mesh's vertices.
    """
    if liquid.milkiness <= 0:
        return clear
    # Light that has entered goes back and forth below the surface before it comes out again: that
    # takes from all but white liquids. `color` is what is seen.
    color = np.asarray(liquid.color)
    inner = 1 - (1 - OUTER_REFLECTION) / liquid.ior**2
    body = color / ((1 - inner) * (1 - OUTER_REFLECTION) + inner * color)
    milk = {
        'type': 'twosided',
        'coat': {
            'type': 'plastic', 'int_ior': liquid.ior, 'nonlinear': True,
            'diffuse_reflectance': _rgb(np.minimum(body, CLIPPED_AT)),
        },
    }  # fmt: skip
    if frothy:
        share: Any = {'type': 'mesh_attribute', 'name': 'vertex_froth'}
    elif liquid.milkiness >= 1:
        return milk
    else:
        share = liquid.milkiness
    return {'type': 'blendbsdf', 'weight': share, 'clear': clear, 'milk': milk}


def _solid(material: Material, textured: bool) -> dict[str, Any]:
    color: dict[str, Any] = _rgb(np.clip(material.color, 0.004, CLIPPED_AT))
    if material.texture:
        picture = texture(material)
        if textured:
            bitmap = load_mitsuba().Bitmap(np.ascontiguousarray(picture[::-1]))
            color = {'type': 'bitmap', 'bitmap': bitmap, 'raw': True, 'wrap_mode': 'mirror'}
        else:
            color = _rgb(picture.mean(axis=(0, 1)))
    surface = {
        'type': 'principled', 'base_color': color, 'roughness': float(material.roughness),
        'metallic': 1.0 if material.kind == 'metal' else 0.0, 'specular': 0.5,
    }  # fmt: skip
    return {'type': 'twosided', 'surface': surface}
