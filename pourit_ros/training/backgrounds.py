# SPDX-License-Identifier: Apache-2.0
"""Backgrounds of the composites: procedural surfaces, environment maps, photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .layers import Image, blend, chance, colour, flat, log_uniform, smooth_noise

# Pictures inside scikit-image: brick, grass, gravel, chelsea and camera are CC0; astronaut (NASA),
# rocket (SpaceX) and clock are in the public domain. Its other pictures are left out: their
# licence is another one, or they show liquid.
SKIMAGE_PICTURES = (
    'brick', 'grass', 'gravel', 'chelsea', 'camera', 'astronaut', 'rocket', 'clock',
)  # fmt: skip
HELD_OUT_EVERY = 8


class BackgroundError(InputError):
    """A folder of background pictures is missing or holds none."""


def gradient(rng: np.random.Generator, size: int) -> Image:
    """Paint a plain wall: one colour, uneven light, some grain."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    light = x * rng.uniform(-40, 40) + y * rng.uniform(-40, 40)
    light += smooth_noise(rng, size, size, 4, 4) * rng.uniform(2, 14)
    light += smooth_noise(rng, size, size, size // 2, size // 2) * rng.uniform(0, 6)
    return flat((size, size), colour(rng, 0.6)) * rng.uniform(0.15, 1) + light[..., None]


def cloth(rng: np.random.Generator, size: int) -> Image:
    """Paint hanging cloth: folds along one direction and a fine weave."""
    folds = smooth_noise(rng, size, size, 3, rng.uniform(4, 14)) * rng.uniform(5, 30)
    weave = smooth_noise(rng, size, size, size, size) * rng.uniform(1, 7)
    picture = flat((size, size), colour(rng, 0.7)) * rng.uniform(0.1, 1)
    picture += (folds + weave)[..., None]
    return np.rot90(picture) if chance(rng, 0.2) else picture


def wood(rng: np.random.Generator, size: int) -> Image:
    """Paint wood: growth rings of a distorted distance, grain along them."""
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j].astype(np.float32)
    bend = smooth_noise(rng, size, size, 3, 5) * 0.15
    rings = np.sin((y * rng.uniform(8, 40) + x * rng.uniform(0, 4) + bend * 20) * 2)
    grain = smooth_noise(rng, size, size, size // 2, 8) * rng.uniform(3, 14)
    tone = np.array([rng.uniform(90, 215), rng.uniform(60, 150), rng.uniform(25, 105)], np.float32)
    return flat((size, size), tone) + (rings * rng.uniform(4, 22) + grain)[..., None]


def marble(rng: np.random.Generator, size: int) -> Image:
    """Paint marble: thin light or dark veins where smooth noise crosses zero."""
    dark = chance(rng, 0.6)
    picture = flat((size, size), colour(rng, 0.3))
    picture = picture * 0.12 + 8 if dark else picture * 0.2 + 190
    vein = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(1, 4)):
        field = smooth_noise(rng, size, size, rng.uniform(3, 9), rng.uniform(3, 9))
        field += 0.15 * smooth_noise(rng, size, size, 24, 24)
        strength = np.clip(smooth_noise(rng, size, size, 5, 5), 0, 1) * rng.uniform(0.3, 1)
        vein = np.maximum(vein, strength * np.exp(-((field / log_uniform(rng, 0.015, 0.12)) ** 2)))
    return blend(picture, rng.uniform(150, 255) if dark else rng.uniform(60, 160), vein)


def tiles(rng: np.random.Generator, size: int) -> Image:
    """Paint tiles: a grid of joints over one of the other surfaces."""
    picture = (marble if chance(rng, 0.4) else gradient)(rng, size)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    pitch_x, pitch_y = rng.uniform(0.1, 0.6, 2) * size
    width = log_uniform(rng, 0.003, 0.02) * size
    joints = np.minimum(
        np.abs((x + rng.uniform(0, pitch_x)) % pitch_x - width),
        np.abs((y + rng.uniform(0, pitch_y)) % pitch_y - width),
    )
    return blend(picture, rng.uniform(20, 240), np.clip(width - joints + 0.5, 0, 1))


def checker(rng: np.random.Generator, size: int) -> Image:
    """Paint a checkerboard or stripes, turned by a random angle."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    angle, pitch = rng.uniform(0, np.pi), log_uniform(rng, 0.03, 0.3) * size
    u = np.cos(angle) * x + np.sin(angle) * y
    v = np.cos(angle) * y - np.sin(angle) * x
    pattern = np.sign(np.sin(u / pitch * np.pi))
    if chance(rng, 0.5):
        pattern = pattern * np.sign(np.sin(v / pitch * np.pi))
    return blend(flat((size, size), colour(rng)), colour(rng), (pattern > 0).astype(np.float32))


def shelf(rng: np.random.Generator, size: int) -> Image:
    """Paint a cluttered room: shelves with upright and lying boxes of all colours."""
    picture = gradient(rng, size)
    y = rng.uniform(0, 0.1) * size
    while y < size:
        height, x = rng.uniform(0.07, 0.25) * size, rng.uniform(-0.1, 0.1) * size
        while x < size:
            width = log_uniform(rng, 0.015, 0.15) * size
            top = y + rng.uniform(0, 0.6) * height
            if chance(rng, 0.75):
                corners = (int(x), int(top)), (int(x + width), int(y + height))
                cv2.rectangle(picture, *corners, colour(rng).tolist(), -1)
            x += width * rng.uniform(1, 1.5)
        bar = int(y + height), int(y + height * rng.uniform(1.02, 1.2))
        cv2.rectangle(picture, (0, bar[0]), (size, bar[1]), colour(rng, 0.3).tolist(), -1)
        y = bar[1] + 1
    return picture


SURFACES: tuple[Callable[[np.random.Generator, int], Image], ...] = (
    gradient, cloth, wood, marble, tiles, checker, shelf,
)  # fmt: skip


def tone_map(radiance: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Map radiance (H, W, 3), linear, to an 8-bit picture.

    Reinhard et al., 'Photographic tone reproduction for digital images' (SIGGRAPH 2002): the key
    0.3 is put on the log-average, then L/(1+L); gamma 2.2.
    """
    light = np.maximum(np.nan_to_num(radiance.astype(np.float32)), 0)
    key = 0.3 / np.exp(np.log(light.mean(-1) + 1e-4).mean())
    scaled = light * key
    return np.round(255 * (scaled / (1 + scaled)) ** (1 / 2.2)).astype(np.uint8)


def perspective_crop(
    panorama: npt.NDArray[np.uint8], yaw: float, pitch: float, field_of_view: float, size: int
) -> npt.NDArray[np.uint8]:
    """Look into an equirectangular panorama (H, W, 3) with a pinhole camera.

    `yaw`, `pitch` (positive looks up) and `field_of_view` in radians; returns (size, size, 3).
    """
    height, width = panorama.shape[:2]
    v, u = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    slope = np.tan(field_of_view / 2)
    x, y, z = u * slope, v * slope, 1.0
    y, z = np.cos(pitch) * y - np.sin(pitch) * z, np.sin(pitch) * y + np.cos(pitch) * z
    longitude = np.arctan2(x, z) + yaw
    latitude = np.arctan2(y, np.hypot(x, z))
    map_x = (longitude / (2 * np.pi) % 1 * width).astype(np.float32)
    map_y = ((latitude / np.pi + 0.5) * (height - 1)).astype(np.float32)
    return cv2.remap(panorama, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _read(folder: Path | None, patterns: tuple[str, ...]) -> list[npt.NDArray]:
    if folder is None:
        return []
    paths = sorted(p for pattern in patterns for p in Path(folder).glob(pattern))
    if not paths:
        raise BackgroundError(f'no {" or ".join(patterns)} in {folder}; name another folder')
    pictures = []
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED if path.suffix == '.hdr' else 1)
        if picture is None:
            raise BackgroundError(f'{path} is no readable picture; remove or replace it')
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return pictures


def _skimage_pictures() -> list[npt.NDArray[np.uint8]]:
    from skimage import data

    pictures = [getattr(data, name)() for name in SKIMAGE_PICTURES]
    return [p if p.ndim == 3 else np.repeat(p[..., None], 3, 2) for p in pictures]


class Backgrounds:
    """A source of background pictures.

    `environment_maps`: folder of equirectangular *.hdr; `photographs`: folder of *.jpg / *.png.
    Without either, all backgrounds are procedural. Every eighth picture is held out: the fold
    'train' never shows it and the fold 'held_out' shows nothing else. Raises BackgroundError.
    """

    def __init__(
        self,
        environment_maps: Path | None = None,
        photographs: Path | None = None,
        fold: Literal['train', 'held_out'] = 'train',
    ) -> None:
        panoramas = [tone_map(p) for p in _read(environment_maps, ('*.hdr',))]
        pictures = _read(photographs, ('*.jpg', '*.png'))
        if environment_maps is not None or photographs is not None:
            pictures += _skimage_pictures()

        def ours(pool: list[npt.NDArray]) -> list[npt.NDArray]:
            held_out = fold == 'held_out'
            return [p for i, p in enumerate(pool) if (i % HELD_OUT_EVERY == 0) == held_out]

        self._panoramas, self._photographs = ours(panoramas), ours(pictures)

    def texture(self, rng: np.random.Generator, size: int) -> Image:
        """Return one surface or view (size, size, 3), 0..255; the generator decides everything."""
        kind = rng.random()
        if self._panoramas and kind < 0.45:
            picture = self._view(rng, size)
        elif self._photographs and kind < 0.6:
            picture = self._crop(rng, size)
        else:
            picture = SURFACES[rng.integers(len(SURFACES))](rng, size)
        if chance(rng, 0.5):
            picture = picture[:, ::-1]
        if chance(rng, 0.3):
            picture = cv2.GaussianBlur(picture, (0, 0), log_uniform(rng, 0.6, 4))
        return np.clip(picture, 0, 255).astype(np.float32)

    def scene(self, rng: np.random.Generator, size: int) -> tuple[Image, float]:
        """Return a room (size, size, 3) and the row where its table begins (size: no table)."""
        picture, table = self.texture(rng, size), float(size)
        if chance(rng, 0.55):
            table = rng.uniform(0.45, 0.92) * size
            row = int(table)
            picture[row:] = self.texture(rng, size)[row:]
            if chance(rng, 0.4):
                # the bright front edge of a worktop
                edge = rng.integers(1, 4)
                picture[row : row + edge] = rng.uniform(0.5, 1) * 255
        if chance(rng, 0.45):
            picture *= rng.uniform(0.25, 0.9)
        return picture, table

    def _view(self, rng: np.random.Generator, size: int) -> Image:
        panorama = self._panoramas[rng.integers(len(self._panoramas))]
        yaw, pitch = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.normal(-12, 15))
        view = perspective_crop(panorama, yaw, pitch, np.deg2rad(rng.uniform(45, 105)), size)
        # rooms are seen by many cameras: exposure and white balance vary
        gain = (rng.uniform(0.5, 1.3) * rng.normal(1, 0.05, 3)).astype(np.float32)
        return view.astype(np.float32) * gain

    def _crop(self, rng: np.random.Generator, size: int) -> Image:
        photograph = self._photographs[rng.integers(len(self._photographs))]
        side = int(min(photograph.shape[:2]) * rng.uniform(0.4, 1))
        y, x = (rng.integers(n - side + 1) for n in photograph.shape[:2])
        how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        crop = cv2.resize(photograph[y : y + side, x : x + side], (size, size), interpolation=how)
        return crop.astype(np.float32)
