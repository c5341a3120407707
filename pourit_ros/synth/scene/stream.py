# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface of a falling stream at a time.

Its parcels fall freely, as in `geometry.stream`; its section has the area Q/v. A sheet leaves the
lip, bounded by thick rims, and alternates between broad and deep while it decays (fluid chain:
Bush & Hasha, J. Fluid Mech. 511, 2004). Ripples are frozen into the parcels and fall with them, so
meshes at several times give motion blur within one exposure, and a film at later times. A thin
stream breaks into drops one Rayleigh wavelength (9.02 radii) apart, which keep its volume.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...geometry.fall import GRAVITY, fall_time
from .description import FlowDescription
from .meshes import Mesh, joined, merged, sphere
from .waves import Waves, WrappedWaves

RINGS = 200
SIDES = 48
RAYLEIGH = 9.02
# Shorter pieces in the air are drops on the lip, not a stream.
SHORTEST = 0.012
# Of a moving source's stream, the fall (s) whose mean speed spaces the ripples.
FILM = 0.15
DOWN = np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True, eq=False)
class StreamSurface:
    """`mesh` of the stream in the base frame; `centre` (N, 3) of its sections, top to bottom.

    `thickness` (V,) m: mean length of a straight way through it near each vertex; `froth` (V,)
    0..1: its whiteness from bubbles there; `intact`: height (m) below which there are only drops.
    """

    mesh: Mesh
    centre: NDArray[np.float64]
    thickness: NDArray[np.float64]
    froth: NDArray[np.float64]
    intact: float


@dataclass(frozen=True, eq=False)
class _Fall:
    """Places, unit tangents (N, 3), speeds and way (N,) of parcels of some ages.

    `lands`: the oldest parcel has reached the stream's end.
    """

    age: NDArray[np.float64]
    place: NDArray[np.float64]
    tangent: NDArray[np.float64]
    speed: NDArray[np.float64]
    way: NDArray[np.float64]
    lands: bool


class Stream:
    """A flow's stream. All its randomness comes from the flow's seed.

    Its appearance follows the first parcel's speed throughout, so that all times form one film.
    """

    def __init__(self, flow: FlowDescription, rings: int = RINGS, sides: int = SIDES) -> None:
        self.flow, self._rings, self._sides = flow, rings, sides
        rng = np.random.default_rng(flow.seed)
        u, style = rng.uniform, flow.style
        (point,), (self._velocity,) = flow.departed(np.array([flow.start]))
        self._speed = float(np.linalg.norm(self._velocity))
        self._radius = float(np.sqrt(flow.rate / np.pi / self._speed))
        # Thick fast streams are more ragged.
        rough = float(np.clip((self._radius - 0.003) / 0.005, 0, 1))
        calm = 0.35 if style == 'smooth' else 1.0
        ribbon = style in ('ripple', 'twist')
        # Fluid chain: length of a link and of the decay, m.
        self._link = u(0.11, 0.36)
        self._decay = u(0.07, 0.3) if ribbon else u(0.02, 0.08)
        self._swing = 1.0 if ribbon else 0.8
        self._breadth = Waves(rng, 5, 4, 25)
        self._film = u(0.6, 0.96)
        twist = 9.0 if style == 'twist' else 3.0
        self._turn, self._turn_rate = rng.normal(0, 0.3), rng.normal(0, twist)
        self._turning = Waves(rng, 4, 2, 10)
        self._bend, self._lean = u(0.15, 0.45), rng.normal(0, 0.18)
        self._bending = Waves(rng, 4, 3, 12)
        self._ripple = WrappedWaves(rng, 18, 3, 26, 5, 0.45)
        self._ripple_size = calm * (u(0.03, 0.10) + 0.06 * rough)
        self._crest = WrappedWaves(rng, 26, 30, 160, 5, 0.5)
        self._crest_size = calm * (u(0.006, 0.03) + 0.012 * rough)
        self._ridge = WrappedWaves(rng, 14, 3, 30, 4, 0.5)
        self._ridge_size = calm * (u(0.02, 0.08) + 0.10 * rough)
        self._creased = style != 'smooth' and rng.random() < 0.7
        self._neck_size = {'smooth': 0.012, 'breakup': 0.05}.get(style, 0.006)
        self._neck_growth, self._neck_phase = u(0.05, 0.09), u(0, 2 * np.pi)
        self._sway = Waves(rng, 4, 2, 9), Waves(rng, 4, 2, 9)
        self._sway_size = u(0.03, 0.25)
        self._break_at = u(0.4, 0.8) if style == 'breakup' else 1.0
        self._satellites = int(rng.poisson(4.0 if style == 'breakup' else 0.8))
        self._drops_seed = int(rng.integers(1 << 31))
        # Bubbles and the fine roughness that they make, in streaks that fall with the water.
        self._bubbles = WrappedWaves(rng, 30, 15, 200, 8, 0.5)
        self._rough = WrappedWaves(rng, 40, 60, 400, 12, 0.3)
        self._rough_size = u(0.02, 0.07) if style == 'aerated' else 0.0
        if style == 'aerated':
            self._decay, self._swing = u(0.02, 0.05), 0.4
        self._fall_time = self._time_to_end(point, self._velocity)
        # Where the source moves, the end may as well: what is left of this fall at a time must
        # not lay out the ripples anew.
        lasts = self._fall_time if flow.departures is None else FILM
        whole = self._fall(np.linspace(0, lasts, 256), flow.start)
        self._mean_speed = float(whole.speed.mean())

    def surface(self, time: float) -> StreamSurface | None:
        """The surface at `time` (s), None while no piece as long as SHORTEST is in the air."""
        fall = self._in_air(time)
        if fall is None:
            return None
        section_x, section_y, twist = self._sections(fall, time)
        broad, deep = self._across(fall.tangent)
        cos, sin = np.cos(twist)[:, None], np.sin(twist)[:, None]
        wide, thick = cos * broad + sin * deep, cos * deep - sin * broad
        centre = self._centre(fall, time)
        rings = (
            centre[:, None]
            + section_x[..., None] * wide[:, None]
            + section_y[..., None] * thick[:, None]
        )
        mean_radius = np.sqrt(self.flow.rate / np.pi / fall.speed)
        kept = np.ones(len(centre), dtype=bool)
        broken = self._fall_time
        if self.flow.style == 'breakup':
            broken = self._break_at * self._fall_time
            kept = fall.age <= broken
        pieces, ways, froth = [], [], []
        if kept.sum() >= 8:
            oldest_is_tip = not fall.lands or not kept.all()
            body = rings[kept]
            self._round_tips(body, centre[kept], bool(fall.age[0] > 1e-9), oldest_is_tip)
            pieces.append(_closed(body))
            # A way through a section is on average its area over its width.
            way = np.repeat(0.5 * np.pi * mean_radius[kept], self._sides + 1)
            ways.append(np.concatenate([way[: self._sides + 1], way, way[-self._sides - 1 :]]))
            white = self._froth(fall, time)[kept].ravel()
            froth.append(
                np.concatenate([white[: self._sides + 1], white, white[-self._sides - 1 :]])
            )
        for place, tangent, radius, stretch in self._drops(fall, time, broken):
            drop = _drop(place, tangent, radius, stretch)
            pieces.append(drop)
            ways.append(np.full(len(drop.vertices), 4 / 3 * radius))
            froth.append(np.full(len(drop.vertices), 0.5 * self.flow.air))
        if not pieces:
            return None
        intact = float(centre[kept][-1, 2]) if kept.any() else float(centre[0, 2])
        return StreamSurface(
            merged(pieces), centre, np.concatenate(ways), np.concatenate(froth), intact
        )

    def landing_point(
        self, time: float, mouth: NDArray[np.float64], axis: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Where the centre line at `time` crosses the plane through `mouth` (3,) across `axis`.

        (3,) m, base frame. None while no liquid is there.
        """
        fall = self._in_air(time)
        if fall is None:
            return None
        centre = self._centre(fall, time)
        height = (centre - mouth) @ axis
        below = np.nonzero((height[:-1] > 0) & (height[1:] <= 0))[0]
        if not len(below):
            return None
        k = int(below[0])
        share = height[k] / (height[k] - height[k + 1])
        return centre[k] + share * (centre[k + 1] - centre[k])

    def _froth(self, fall: _Fall, time: float) -> NDArray[np.float64]:
        """Whiteness (N, S + 1) of the sections' outlines, `flow.air` on average."""
        angle = np.linspace(0, 2 * np.pi, self._sides + 1)
        if not self.flow.air:
            return np.zeros((len(fall.age), len(angle)))
        streaks = self._bubbles(self._mean_speed * (fall.age - time), angle)
        return np.clip(self.flow.air * (1 + 0.45 * streaks), 0, 1)

    def _time_to_end(self, p: NDArray[np.float64], v: NDArray[np.float64]) -> float:
        drop = max(p[2] - self.flow.end_height, 1e-4)
        return float(fall_time(drop, -v[2]))

    def _fall_time_at(self, time: float) -> float:
        """Age of the parcel that reaches the end at `time`."""
        age = self._fall_time
        # The source moves little during a fall: this converges at once.
        for _ in range(3):
            (point,), (velocity,) = self.flow.departed(np.array([time - age]))
            age = self._time_to_end(point, velocity)
        return age

    def _fall(self, age: NDArray[np.float64], time: float, lands: bool = True) -> _Fall:
        point, velocity = self.flow.departed(time - age)
        place = point + age[:, None] * velocity + np.outer(0.5 * GRAVITY * age**2, DOWN)
        velocity = velocity + np.outer(GRAVITY * age, DOWN)
        speed = np.linalg.norm(velocity, axis=1)
        # Of a parabola the way is known, but the chords are as good at this spacing.
        step = np.linalg.norm(np.diff(place, axis=0), axis=1)
        way = np.concatenate([[0], np.cumsum(step)])
        return _Fall(age, place, velocity / speed[:, None], speed, way, lands)

    def _in_air(self, time: float) -> _Fall | None:
        youngest = max(0.0, time - self.flow.stop)
        fall_time, since = self._fall_time_at(time), time - self.flow.start
        oldest = min(fall_time, since)
        if oldest <= youngest:
            return None
        lands = bool(oldest >= fall_time - 1e-9)
        fall = self._fall(np.linspace(youngest, oldest, self._rings), time, lands)
        if fall.way[-1] < SHORTEST:
            return None
        before = self._fall(np.linspace(0, max(youngest, 1e-9), 32), time).way[-1]
        return replace(fall, way=fall.way + before)

    def _across(
        self, tangent: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit vectors (N, 3) along the lip and across both it and the fall."""
        v = self._velocity
        flat = np.array([-v[1], v[0], 0.0])
        length = float(np.linalg.norm(flat))
        lip = flat / length if length > 1e-6 else np.array([1.0, 0, 0])
        broad = lip - (tangent @ lip)[:, None] * tangent
        broad /= np.linalg.norm(broad, axis=1, keepdims=True)
        return broad, np.cross(tangent, broad)

    def _centre(self, fall: _Fall, time: float) -> NDArray[np.float64]:
        parcel = self._mean_speed * (fall.age - time)
        radius = np.sqrt(self.flow.rate / np.pi / fall.speed)
        size = radius * self._sway_size * np.clip(fall.way / 0.05, 0, 2)
        broad, deep = self._across(fall.tangent)
        sway = self._sway[0](parcel)[:, None] * broad + self._sway[1](parcel)[:, None] * deep
        return fall.place + size[:, None] * sway

    def _sections(
        self, fall: _Fall, time: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Outlines (N, S + 1) about their centroids, m, and their rotations (N,), rad."""
        way, parcel = fall.way, self._mean_speed * (fall.age - time)
        radius = np.sqrt(self.flow.rate / np.pi / fall.speed)
        grown = np.clip(way / 0.03, 0, 1)
        first = np.log(max(self.flow.lip_half_width / self._radius, 1.02))
        # Links lengthen with the speed.
        link = self._link * np.sqrt(fall.speed / self._speed)
        phase = 2 * np.pi * way / link
        broadness = self._swing * first * np.exp(-way / self._decay)
        broadness = broadness * (0.35 + 0.65 * np.cos(phase)) + 0.1 * grown * self._breadth(way)
        a, b = radius * np.exp(broadness), radius * np.exp(-broadness)
        angle = np.linspace(0, 2 * np.pi, self._sides + 1)
        cos, sin = np.cos(angle), np.sin(angle)
        flat = np.abs(np.tanh(1.6 * broadness))
        # A thin film between two rims: a dumb-bell.
        film = np.clip(self._film * flat, 0, 0.95) * (broadness > 0)
        x = np.outer(a, cos)
        y = np.outer(b, sin) * (1 - np.outer(film, sin**2))
        y = y * (1 + self._lean * np.outer(np.tanh(np.abs(broadness)), cos))
        bend = self._bend * np.exp(-way / 0.02) + 0.08 * self._bending(way)
        y = y + np.outer(bend * a * np.clip(np.abs(broadness), 0, 1), cos**2 - 0.5)
        growth = np.clip(0.35 + way / 0.08, 0, 1.4)[:, None]
        relief = self._ripple_size * growth * self._crested(self._ripple(parcel, angle))
        relief = relief + self._crest_size * growth * self._crest(parcel, angle)
        if self._rough_size:
            relief = relief + self._rough_size * self._rough(parcel, angle)
        steady = np.clip(way / 0.02, 0, 1)[:, None] * self._crested(self._ridge(way, angle))
        relief = relief + self._ridge_size * steady
        # Plateau-Rayleigh: necks that grow with the fall.
        neck = np.clip(self._neck_size * np.exp(way / self._neck_growth), 0, 0.5)
        wave = np.cos(2 * np.pi * parcel / (RAYLEIGH * radius.mean()) + self._neck_phase)
        scale = np.clip((1 + relief) * (1 + neck * wave)[:, None], 0.15, 2.5)
        x, y = x * scale, y * scale
        # Keep the area Q/v and the centroid on the centre line, whatever the relief did.
        area, cx, cy = _moments(x, y)
        fit = np.sqrt(self.flow.rate / fall.speed / area)
        # The necks are pinched within their stretch of stream: those keep their narrowness.
        fit = fit * (1 + neck * wave)
        x, y = fit[:, None] * (x - cx[:, None]), fit[:, None] * (y - cy[:, None])
        turn = self._turn + self._turn_rate * way
        turn = turn + 0.15 * self._turning(way) * np.clip(way / 0.04, 0, 1)
        return x, y, turn * np.clip(way / 0.015, 0, 1)

    def _crested(self, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        # Ridged noise: the sharp crest lines of capillary creases.
        return 1.1 * (0.62 - np.abs(noise)) if self._creased else noise

    def _round_tips(
        self,
        rings: NDArray[np.float64],
        centre: NDArray[np.float64],
        first: bool,
        last: bool,
    ) -> None:
        count = min(24, len(rings) // 3)
        taper = np.sqrt(np.clip(1 - np.linspace(0, 1, count) ** 2, 1e-3, 1))[:, None, None]
        if last:
            end = centre[-count:, None]
            rings[-count:] = end + (rings[-count:] - end) * taper
        if first:
            end = centre[:count, None]
            rings[:count] = end + (rings[:count] - end) * taper[::-1]

    def _drops(
        self, fall: _Fall, time: float, broken: float
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64], float, float]]:
        """Place, direction of fall, radius and stretch of every drop in the air."""
        drops = []
        centre = self._centre(fall, time)

        def at(age: float, what: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.array([np.interp(age, fall.age, what[:, k]) for k in range(3)])

        youngest, oldest = float(fall.age[0]), float(fall.age[-1])
        if self.flow.style == 'breakup':
            speed = float(np.interp(broken, fall.age, fall.speed))
            thread = np.sqrt(self.flow.rate / np.pi / speed)
            # One drop per wavelength of thread: every drop belongs to an instant of emission.
            period = RAYLEIGH * thread / speed
            radius = (0.75 / np.pi * self.flow.rate * period) ** (1 / 3)
            first = int(np.ceil((time - oldest) / period))
            for k in range(first, int(np.floor((time - max(broken, youngest)) / period)) + 1):
                own = np.random.default_rng((self._drops_seed, k % (1 << 31)))
                age = time - (k + own.uniform(-0.2, 0.2)) * period
                if not broken <= age <= oldest:
                    continue
                size, stretch = radius * own.uniform(0.8, 1.05), own.uniform(0.85, 1.4)
                place = at(age, centre) + own.normal(0, 0.2, 3) * thread
                drops.append((place, at(age, fall.tangent), size, stretch))
        rng = np.random.default_rng(self._drops_seed)
        for _ in range(self._satellites):
            # Each small drop comes again and again, as if new ones took its way.
            lag, size = rng.random(), rng.uniform(0.0006, 0.0018)
            off, stretch = rng.normal(0, 1, 3) * 1.6 * self._radius, rng.uniform(1, 1.4)
            age = (lag * self._fall_time + time) % self._fall_time
            if youngest <= age <= oldest and age > 0.25 * self._fall_time:
                drops.append((at(age, centre) + off, at(age, fall.tangent), size, stretch))
        if fall.lands:
            drops += self._splash(rng, centre[-1], time)
        return drops

    def _splash(
        self, rng: np.random.Generator, impact: NDArray[np.float64], time: float
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64], float, float]]:
        drops = []
        for _ in range(int(rng.poisson(5 * self.flow.splash))):
            turn, up, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.7), rng.uniform(0, 0.25)
            size, lag = rng.uniform(0.0005, 0.0016), rng.random()
            flight = 2 * up / GRAVITY
            age = (lag * flight + time) % flight
            velocity = np.array([out * np.cos(turn), out * np.sin(turn), up])
            place = impact + velocity * age + 0.5 * GRAVITY * age**2 * DOWN
            place[:2] += self._radius * np.array([np.cos(turn), np.sin(turn)])
            drops.append((place, velocity / np.linalg.norm(velocity), size, 1.0))
        return drops


def _moments(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Areas and centroids (N,) of closed outlines (N, S + 1)."""
    cross = x[:, :-1] * y[:, 1:] - x[:, 1:] * y[:, :-1]
    area = 0.5 * cross.sum(axis=1)
    cx = ((x[:, :-1] + x[:, 1:]) * cross).sum(axis=1) / (6 * area)
    cy = ((y[:, :-1] + y[:, 1:]) * cross).sum(axis=1) / (6 * area)
    return area, cx, cy


def _closed(rings: NDArray[np.float64]) -> Mesh:
    """A tube with closed ends."""
    first, last = (np.broadcast_to(r[:-1].mean(axis=0), r.shape) for r in (rings[0], rings[-1]))
    return joined(np.concatenate([first[None], rings, last[None]]))


def _drop(
    place: NDArray[np.float64], tangent: NDArray[np.float64], radius: float, stretch: float
) -> Mesh:
    ball = sphere(radius)
    z = ball.vertices @ tangent
    round_about = ball.vertices - np.outer(z, tangent)
    vertices = place + round_about / np.sqrt(stretch) + stretch * np.outer(z, tangent)
    return Mesh(vertices, ball.triangles)
