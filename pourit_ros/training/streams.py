# SPDX-License-Identifier: Apache-2.0
"""The liquid of the composites: a ballistic path, its ribbon of surface, break-up and drops.

The picture of a stream is computed in the coordinates of its centre line: s along the flow and q
in −1..1 across it. A bulged, rippled surface gives normals; the normals bend the view of what
lies behind (refraction), look up a random map of lights (reflection), weighted by Schlick's
Fresnel term 'An inexpensive BRDF model for physically-based rendering' (Eurographics 1994); and
the thickness 2√(1 − q²) tints what passes (Beer-Lambert).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .layers import Image, Layer, blend, chance, log_uniform, smooth_noise

# RGB of liquids that let light through, and of those that do not
CLEAR = ((160, 90, 15), (90, 40, 20), (60, 30, 20), (150, 40, 40), (210, 200, 60), (120, 60, 10),
         (170, 20, 50), (60, 140, 90), (30, 90, 160), (225, 120, 20), (200, 60, 90))  # fmt: skip
OPAQUE = ((248, 242, 235), (240, 230, 215), (245, 140, 30), (250, 190, 60), (45, 30, 20),
          (80, 50, 25), (150, 110, 80), (190, 150, 110), (200, 60, 60), (220, 200, 140),
          (230, 160, 150), (140, 180, 90))  # fmt: skip


@dataclass(frozen=True)
class Liquid:
    """What flows: `kind` water, clear (tinted) or opaque, and its colour `tone` (3,)."""

    kind: str
    tone: Image

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Liquid:
        """Draw a liquid; the colour of water is that of what stands behind it."""
        kind = str(rng.choice(['water', 'clear', 'opaque'], p=[0.48, 0.22, 0.3]))
        palette = {'water': ((200, 205, 210),), 'clear': CLEAR, 'opaque': OPAQUE}[kind]
        pure = np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.7, 1.15)
        return cls(kind, np.clip(pure + rng.normal(0, 12, 3), 2, 255).astype(np.float32))


@dataclass(frozen=True)
class Path:
    """Centre line of a stream in pixels, from the mouth on.

    `points` (N, 2) x, y, about one pixel apart; `left`, `right` (N,) distances of both edges from
    it; `arc` (N,) length along it.
    """

    points: npt.NDArray[np.float64]
    left: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    arc: npt.NDArray[np.float64]


def stream_path(
    rng: np.random.Generator,
    mouth: npt.NDArray[np.float64],
    direction: npt.NDArray[np.float64],
    width: float,
    length: float,
    curvature: float,
) -> Path:
    """Let liquid fall from the mouth, leaving along the unit vector `direction` (y down).

    `width` at the mouth, `length` of the path and `curvature` v²/g, all in pixels. Continuity
    narrows a falling jet by √(v₀/v); real spouts narrow more slowly or faster than that.
    """
    speed = np.sqrt(curvature)
    # beyond the time of a fall from rest over the whole length the path is surely long enough
    t = np.linspace(0, np.sqrt(2 * length) + speed, 400)[:, None]
    points = mouth + direction * speed * t + np.array([0, 0.5]) * t**2
    arc = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    velocity = np.hypot(direction[0] * speed, direction[1] * speed + t[:, 0])
    count = max(12, int(length))
    s = np.linspace(0, min(length, arc[-1]), count)
    x, y = np.interp(s, arc, points[:, 0]), np.interp(s, arc, points[:, 1])
    v = np.interp(s, arc, velocity)

    settle = np.minimum(1, s / (2 * width))
    sway = rng.uniform(0, 0.15) * width * settle
    x = x + sway * np.sin(s / (width * log_uniform(rng, 1, 6)) + rng.uniform(0, 6))
    thin = np.maximum(speed / np.maximum(v, 1e-3), 0.05) ** rng.uniform(0.15, 0.7)
    half = 0.5 * width * np.clip(thin / thin[0], 0.25, 1)
    waves = np.sin(s / (width * rng.uniform(0.5, 2)) + rng.uniform(0, 6))
    half *= 1 + rng.uniform(0, 0.2) * waves * settle
    ragged = rng.uniform(0, 0.22)

    def edge() -> npt.NDArray[np.float64]:
        bumps = smooth_noise(rng, 1, count, 2, max(3, length / (width * rng.uniform(0.5, 2))))[0]
        return np.maximum(half * (1 + ragged * bumps * settle), 0.6)

    return Path(np.stack([x, y], 1), edge(), edge(), s)


@dataclass(frozen=True)
class _Ribbon:
    """Stream coordinates of the pixels in the box (h, w) at (x, y)."""

    x: int
    y: int
    columns: Image
    rows: Image
    across: Image  # q, −1..1
    along: Image  # s, pixels
    half_width: Image
    tangent: tuple[Image, Image]
    cover: Image  # 0..1, anti-aliased silhouette


def _ribbon(path: Path, size: int) -> _Ribbon | None:
    points = path.points
    margin = int(max(path.left.max(), path.right.max())) + 3
    low = np.maximum(np.floor(points.min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + margin, size)
    if (high - low < 4).any():
        return None
    columns, rows = np.meshgrid(
        np.arange(low[0], high[0], dtype=np.float32), np.arange(low[1], high[1], dtype=np.float32)
    )
    # nearest point of the centre line for every pixel, from a labelled distance transform
    seeds = np.full(columns.shape, 255, np.uint8)
    at = np.clip(np.round(points - low).astype(int), 0, high - low - 1)
    seeds[at[:, 1], at[:, 0]] = 0
    _, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(labels.max() + 1, int)
    table[labels[at[:, 1], at[:, 0]]] = np.arange(len(points))
    nearest = table[labels]

    tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True) + 1e-9
    step = max(path.arc[1], 1e-3)

    def offsets(index: npt.NDArray[np.int64]) -> tuple[Image, ...]:
        tx, ty = tangents[index, 0], tangents[index, 1]
        dx, dy = columns - points[index, 0], rows - points[index, 1]
        return tx, ty, dx * tx + dy * ty, dy * tx - dx * ty

    # rounding to pixels leaves a small step along the line: take it out once
    *_, along, _ = offsets(nearest)
    nearest = np.clip(nearest + np.round(along / step).astype(int), 0, len(points) - 1)
    tx, ty, along, across = offsets(nearest)
    half = np.where(across < 0, path.left[nearest], path.right[nearest])
    cover = np.clip(half - np.abs(across) + 0.5, 0, 1)
    s = path.arc[nearest] + along
    cover *= np.clip(0.5 - np.maximum(-s, s - path.arc[-1]), 0, 1)
    values = (across / half, s, half, tx, ty, cover)
    q, s, half, tx, ty, cover = (v.astype(np.float32) for v in values)
    return _Ribbon(
        int(low[0]), int(low[1]), columns, rows, np.clip(q, -1, 1), s, half, (tx, ty), cover
    )


def _flow_noise(
    rng: np.random.Generator, ribbon: _Ribbon, length: float, period: float, bands: float
) -> Image:
    """Noise in (s, q), stretched along the flow and sheared: ripples that twist around the jet."""
    across = 32
    sheet = smooth_noise(rng, across, int(length) + 40, bands, max(3, length / period))
    shear = rng.uniform(-2.5, 2.5) * ribbon.half_width * ribbon.across
    s = np.clip(ribbon.along, 0, length) + 8 + shear
    row = (ribbon.across + 1) / 2 * (across - 1)
    return cv2.remap(
        sheet, s.astype(np.float32), row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def _lights(rng: np.random.Generator, canvas: Image) -> Image:
    """Random map of lights (64, 64) seen by the surface: the room, dark corners, a few lamps."""
    room = float(canvas[::16, ::16].mean()) * rng.uniform(0.6, 1.8) + rng.uniform(0, 50)
    lights = room * (1 + rng.uniform(0.1, 0.7) * smooth_noise(rng, 64, 64, 6, 6))
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    for _ in range(rng.integers(2, 8)):
        cx, cy = rng.uniform(6, 58, 2)
        rx, ry = np.exp(rng.uniform(np.log(1.5), np.log(12), 2))
        lamp = np.exp(-((((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) ** 2))
        lights += (rng.uniform(170, 300) - lights) * lamp
    return np.clip(lights, 0, 280).astype(np.float32)


def _surface(
    rng: np.random.Generator, ribbon: _Ribbon, length: float, ripple: float
) -> tuple[Image, Image, Image]:
    """Return normals (across, along) and the cosine to the viewer of the rippled surface."""
    width = float(ribbon.half_width.mean())
    coarse = _flow_noise(rng, ribbon, length, width * rng.uniform(2, 6) + 3, rng.uniform(3, 6))
    fine = _flow_noise(rng, ribbon, length, width * rng.uniform(0.8, 2) + 2, rng.uniform(4, 8))
    rough = ripple * rng.uniform(0.1, 0.7)
    bulge = ribbon.across * rng.uniform(0.4, 1)
    across = np.clip(bulge + rough * (coarse + 0.35 * fine), -1, 1)
    along = np.clip(rough * rng.uniform(0.3, 1) * (fine + 0.5 * coarse[::-1, ::-1]), -1, 1)
    facing = np.sqrt(np.clip(1 - across**2 - 0.5 * along**2, 0, 1))
    return across.astype(np.float32), along.astype(np.float32), facing.astype(np.float32)


def paint_stream(
    rng: np.random.Generator, canvas: Image, path: Path, liquid: Liquid, smooth: bool = False
) -> Image:
    """Pour a stream along the path onto the canvas (S, S, 3), in place; return its coverage.

    `smooth`: laminar, as from a tap, nearly without ripples.
    Coverage (S, S) in 0..1 is the share of each pixel's area that lies inside the liquid's
    outline, no matter how clear the liquid is.
    """
    size = canvas.shape[0]
    coverage = np.zeros((size, size), np.float32)
    ribbon = _ribbon(path, size)
    if ribbon is None:
        return coverage
    length, q = float(path.arc[-1]), ribbon.across
    across, along, facing = _surface(rng, ribbon, length, 0.15 if smooth else 1.0)
    lights = _lights(rng, canvas)

    def look_up(stretch: float) -> Image:
        u, v = 32 + stretch * 31 * across, 32 + stretch * 31 * along
        return cv2.remap(lights, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    tx, ty = ribbon.tangent
    bend = rng.uniform(0.3, 3.0) * ribbon.half_width * (-1 if chance(rng, 0.6) else 1)
    map_x = ribbon.columns + bend * (-ty * across + tx * along)
    map_y = ribbon.rows + bend * (tx * across + ty * along)
    behind = cv2.remap(canvas, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if liquid.kind == 'opaque':
        shade = 1 + (0.5 + 0.5 * facing - 1) * rng.uniform(0.2, 1.2)
        paint = liquid.tone * shade[..., None]
        paint = blend(paint, behind, np.full(q.shape, rng.uniform(0, 0.15), np.float32))
        gloss = rng.uniform(0.02, 0.3)
    else:
        # thick water bends so strongly that it shows lamps from all sides: mix them in
        scattered = look_up(rng.uniform(0.5, 1))[..., None]
        paint = behind + rng.uniform(0, 0.6) * (scattered - behind)
        if liquid.kind == 'clear':
            depth = np.sqrt(1 - q * q) * log_uniform(rng, 0.4, 3)
            pass_through = np.maximum(liquid.tone / 255, 0.02) ** depth[..., None]
            paint = paint * pass_through * rng.uniform(0.8, 1.3)
            paint = np.maximum(paint, 0.15 * liquid.tone)
        gloss = rng.uniform(0.15, 0.9)
    mirror = look_up(1.0)
    fresnel = 0.03 + 0.97 * (1 - facing) ** 5
    paint = blend(paint, mirror[..., None], np.clip(fresnel * gloss * 1.5, 0, 1))
    # broken highlights: only the brightest of the reflected lamps get through from the front
    glint = np.clip((mirror - rng.uniform(110, 210)) / 60, 0, 1) * gloss * rng.uniform(0.5, 1.6)
    paint = blend(paint, 252.0, np.clip(glint, 0, 1))
    if liquid.kind != 'opaque' and chance(rng, 0.6):
        side = np.abs(q) if chance(rng, 0.5) else q * (1 if chance(rng, 0.5) else -1)
        contour = np.exp(-(((side - rng.uniform(0.6, 1)) / rng.uniform(0.08, 0.3)) ** 2))
        paint *= 1 - rng.uniform(0.2, 0.8) * contour[..., None]

    solid = ribbon.cover * _break_up(rng, ribbon, length)
    if chance(rng, 0.35):
        paint = cv2.GaussianBlur(paint, (0, 0), rng.uniform(0.4, 1.3))
    strength = rng.uniform(0.8, 1) if chance(rng, 0.8) else rng.uniform(0.45, 0.8)
    paint = np.clip(paint, 0, 255).astype(np.float32)
    Layer(paint, (solid * strength).astype(np.float32), ribbon.x, ribbon.y).over(canvas)
    h, w = solid.shape
    coverage[ribbon.y : ribbon.y + h, ribbon.x : ribbon.x + w] = solid
    if chance(rng, 0.3):
        _drops(rng, canvas, coverage, path, paint[solid > 0.5])
    return coverage


def _break_up(rng: np.random.Generator, ribbon: _Ribbon, length: float) -> Image | float:
    """Share of liquid left where a jet tears into ligaments on its way down, (h, w) in 0..1."""
    if not chance(rng, 0.25):
        return 1.0
    width = float(ribbon.half_width.mean())
    gaps = _flow_noise(rng, ribbon, length, width * rng.uniform(1.5, 4) + 2, rng.uniform(2, 5))
    onset = rng.uniform(0.3, 0.9)
    torn = np.clip(ribbon.along / length - onset, 0, 1) / (1 - onset) * rng.uniform(0.5, 2)
    return np.clip((gaps + 2.2 - 2 * torn) * 2, 0, 1)


def _drops(
    rng: np.random.Generator, canvas: Image, coverage: Image, path: Path, tones: Image
) -> None:
    """Scatter drops around the stream and below its end, in place."""
    if len(tones) == 0:
        return
    width = float(path.left.mean() + path.right.mean())
    for _ in range(rng.integers(1, 9)):
        where = path.points[rng.integers(len(path.points) // 2, len(path.points))]
        x, y = where + rng.normal(0, 0.9, 2) * width + np.array([0, rng.uniform(0, width)])
        radius = max(0.7, width * rng.uniform(0.06, 0.28))
        tall = radius * rng.uniform(1, 2.5)
        pad = int(tall) + 2
        gy, gx = np.mgrid[int(y) - pad : int(y) + pad + 1, int(x) - pad : int(x) + pad + 1]
        ball = np.hypot((gx - x) / radius, (gy - y) / tall)
        alpha = np.clip((1 - ball) * radius + 0.5, 0, 1).astype(np.float32)
        tone = tones[rng.integers(len(tones))] * np.float32(rng.uniform(0.7, 1.3))
        paint = np.broadcast_to(np.clip(tone, 0, 255), (*alpha.shape, 3)).copy()
        paint[ball < 0.4] = np.clip(tone * 1.4 + 20, 0, 255)
        drop = Layer(paint, alpha, int(x) - pad, int(y) - pad)
        drop.over(canvas)
        free = 1 - coverage
        drop.hide(free)
        coverage[:] = 1 - free
