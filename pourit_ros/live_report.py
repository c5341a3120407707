# SPDX-License-Identifier: Apache-2.0
"""A live replay, then its table, video and page from what the nodes published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .bags.output import replay_folder
from .bags.outputs import ReplayOutputs
from .bags.reader import BagReader, ReaderOptions
from .bags.replay import ReplayResult
from .bags.rows import Row, rows_from_bag
from .geometry import Container, PourGeometry, measure_pour
from .geometry.plane import PlaneMode
from .live import LiveError, LiveReplay, Progress, replay_live
from .messages.contract import NAMESPACE
from .messages.decode import cloud_from_msg, stamp_to_ns
from .messages.images import image_to_rgb
from .perception.segmentation import Segmentation
from .pipeline import Frame, PourEstimate


def report_live(
    bag: str | Path,
    out_dir: str | Path,
    weights: str = 'default',
    source: str = 'pourit_bottle',
    target: str = 'cup',
    plane: PlaneMode = 'axis',
    rate: float = 1.0,
    device: str = 'auto',
    threads: int | None = None,
    reader_options: ReaderOptions | None = None,
    progress: Progress | None = None,
    threshold: float | None = None,
) -> ReplayResult:
    """Replay a bag through the live nodes and write the same files as an offline replay.

    Arguments as of `replay_live` and `replay`. Raises BagError and LiveError; then, and on
    Ctrl-C, `out_dir` is as it was.
    """
    options = reader_options or ReaderOptions()
    out_dir = Path(out_dir)
    with replay_folder(out_dir) as folder:
        live = replay_live(
            bag, folder, weights, source, target, plane, rate,
            device=device, threads=threads, reader_options=options, progress=progress,
        )  # fmt: skip
        receiver = Container.load(target)
        rows = rows_from_bag(live.bag, receiver.rim_radius, live.latency_ms)
        if not rows:
            raise LiveError('the nodes answered no frame; see their logs:\n' + _tail(live))
        states = _states(live.bag)
        with BagReader(bag, options.topics) as reader:
            outputs = ReplayOutputs(folder, reader.rate)
            with outputs:
                _draw(outputs, reader, options, rows, live.bag, receiver)
            summary: dict[str, object] = {
                'mode': 'live nodes over Fast DDS, ' + (f'{rate:g} x' if rate else 'lock-step'),
                'frames answered': f'{live.answered} of {live.frames}',
                'colour': reader.camera.color,
                'depth': reader.camera.depth or 'none',
                'source': source,
                'target': target,
                'plane': plane,
            }
            title = f'Live replay of {reader.path.name}'
        outputs.finish(title, summary, states, threshold)
    return ReplayResult(out_dir, tuple(rows), tuple(states), dict(reader.skipped))


def _draw(
    outputs: ReplayOutputs,
    reader: BagReader,
    options: ReaderOptions,
    rows: list[Row],
    recorded: Path,
    target: Container,
) -> None:
    """Pair the played images with what came back about them; both run in order of the stamps."""
    from .report.overlay import draw_overlay

    answers = {row.stamp_ns: row for row in rows}
    with BagReader(recorded) as bag:
        masks, clouds = _InOrder(bag, 'liquid/mask'), _InOrder(bag, 'liquid/points')
        for frame in reader.frames(options.frames):
            row = answers.get(frame.stamp_ns)
            if row is None:
                continue
            mask, cloud = masks.at(frame.stamp_ns), clouds.at(frame.stamp_ns)
            shape = frame.color.shape[:2]
            wet = np.zeros(shape, bool) if mask is None else image_to_rgb(mask)[..., 0] > 127
            seen = Segmentation(row.probability, row.present, wet.astype(np.float32), wet)
            geometry = _geometry(row, cloud, frame, target)
            estimate = PourEstimate(
                row.stamp_ns, row.frame, row.present, row.probability, geometry, row.reason
            )
            outputs.add(row, draw_overlay(frame.color, seen, estimate, frame))


def _geometry(row: Row, cloud: Any, frame: Frame, target: Container) -> PourGeometry:
    """The nodes' numbers; for the drawing, the stream's curve is fitted to their cloud again."""
    fitted = PourGeometry()
    if cloud is not None and cloud.width and frame.T_base_cam is not None:
        fitted = measure_pour(cloud_from_msg(cloud), frame.T_base_cam, target, frame.T_base_target)

    def vector(point: tuple[float, float, float] | None) -> np.ndarray | None:
        return None if point is None else np.array(point)

    return replace(
        fitted,
        lowest_point=vector(row.lowest),
        landing_point=vector(row.landing),
        offset=vector(row.offset),
        distance=row.distance,
        margin=row.margin,
    )


class _InOrder:
    """The messages of a topic, asked for by rising stamps; each is read once."""

    def __init__(self, bag: BagReader, name: str) -> None:
        topic = f'/{NAMESPACE}/{name}'
        found = [topic] if topic in bag.topics else []
        self._contents = (bag.decode(message) for message in bag.messages(found))
        self._next = next(self._contents, None)

    def at(self, stamp_ns: int) -> Any:
        """The message of this very stamp, or None."""
        while self._next is not None and stamp_to_ns(self._next.header.stamp) < stamp_ns:
            self._next = next(self._contents, None)
        if self._next is None or stamp_to_ns(self._next.header.stamp) != stamp_ns:
            return None
        return self._next


def _states(recorded: Path) -> list[tuple[int, str]]:
    """Changes of the pour state at the stamp of the frame that brought them.

    A state carries no stamp of its own; it follows its frame's probability.
    """
    state, probability = f'/{NAMESPACE}/pour_state', f'/{NAMESPACE}/liquid/probability'
    states: list[tuple[int, str]] = []
    stamp: int | None = None
    with BagReader(recorded) as bag:
        for message in bag.messages({state, probability} & set(bag.topics)):
            content = bag.decode(message)
            if message.topic == probability:
                stamp = stamp_to_ns(content.header.stamp)
            elif stamp is not None:
                states.append((stamp, content.data))
    return states


def _tail(live: LiveReplay) -> str:
    return '\n'.join(f'{node}: {log.strip()[-400:]}' for node, log in live.logs.items())
