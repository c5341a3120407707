# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replay a bag through the real nodes, each in its own process, over the real middleware.

Imports no rclpy: the parent may be any Python program.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..bags.feed import BagFeed
from ..bags.reader import BagReader, ReaderOptions
from ..bags.writer import Storage
from ..errors import InputError
from ..geometry.plane import PlaneMode
from ..messages.cdr import HEADER, MARKERS, stamp_of
from ..messages.contract import MONITOR, NAMESPACE, PERCEPTION
from .processes import RosProcesses

__all__ = ['InputError', 'LiveReplay', 'latencies_ms', 'replay_live']

# How often each topic is subscribed to in a live replay, so that the first message is sent when
# nobody misses it: by the recorder, the monitor and the player, and by perception what is played.
NOT_RECORDED = 1
PERCEPTION_SUBSCRIPTIONS = len(PERCEPTION) - NOT_RECORDED + len(('probability', 'points'))
MONITOR_SUBSCRIPTIONS = len(MONITOR) + len(('the answers',))
PLAYED_SUBSCRIPTIONS = {
    'color': 1, 'info': 2, 'depth': 1, 'source_pose': 1, 'target_pose': 2, 'camera_pose': 2,
}  # fmt: skip
# From the start of the processes to the first image: imports, weights, discovery.
START_TIMEOUT = 120.0
RECORDER_TIMEOUT = 60.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LiveReplay:
    """Result of a live replay.

    `bag`: rosbag2 with all messages of the nodes, camera info and diagnostics, at their times of
    arrival. `frames`: number of images in the replayed bag; `answered`: by the monitor.
    `latency_ms` by stamp_ns: from the arrival of the camera info to that of the frame's last
    message. `logs` by node.
    """

    bag: Path
    frames: int
    answered: int
    latency_ms: dict[int, float]
    logs: dict[str, str]


def replay_live(
    bag: str | Path,
    out_dir: str | Path,
    weights: str | Path = 'default',
    source: str = 'pourit_bottle',
    target: str = 'cup',
    plane: PlaneMode = 'axis',
    rate: float = 0.0,
    namespace: str = NAMESPACE,
    device: str = 'auto',
    threads: int | None = None,
    reader_options: ReaderOptions | None = None,
    storage: Storage = 'mcap',
    progress: Progress | None = None,
) -> LiveReplay:
    """Play a bag to liquid_perception and pour_monitor and record their messages.

    Writes `out_dir`/bag. `rate`: 1 is the recorded speed, at which the nodes drop frames when they
    cannot keep up, as on the robot; 0 is lock-step, which answers every frame. `progress(answered,
    total)`. Raises BagError for a bag that cannot be played and InputError when a node fails;
    then, and on Ctrl-C, no process and no file remains.
    """
    options = (reader_options or ReaderOptions()).frames
    topics = (reader_options or ReaderOptions()).topics
    out_dir = Path(out_dir)
    if (out_dir / 'bag').exists():
        raise InputError(f'{out_dir / "bag"}: already exists')
    feed = BagFeed(bag, topics, options)
    # The player turns TF frames into pose topics: the middleware of the wheels has no /tf.
    poses = {'base_frame': options.base_frame, 'pose_tolerance': options.pose_tolerance}
    camera = {**poses, 'wait': options.wait, 'use_depth': 'depth' in feed.places}
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.live.', dir=out_dir) as folder:
        with RosProcesses(Path(folder), namespace) as nodes:
            nodes.start('recorder', {'bag': f'{folder}/bag', 'storage': storage})
            nodes.start(
                'pour_monitor',
                {
                    **poses,
                    'target': target,
                    'await_subscriptions': MONITOR_SUBSCRIPTIONS,
                    # In lock-step the model's pace is no sign of a failure.
                    **({'stale_after': 0.0} if rate == 0 else {}),
                },
            )
            nodes.start(
                'liquid_perception',
                {
                    **camera,
                    'weights': str(weights),
                    'device': device,
                    'threads': threads or 0,
                    'source': source,
                    'target': target,
                    'plane': plane,
                    'depth_slop': options.depth_slop,
                    'await_subscriptions': PERCEPTION_SUBSCRIPTIONS,
                },
            )
            nodes.start(
                'bag_player',
                {
                    **camera,
                    **{f'topics.{place}': topic for place, topic in topics.items()},
                    'source_frame': options.source_frame,
                    'target_frame': options.target_frame,
                    'bag': str(bag),
                    'rate': float(rate),
                    'progress': True,
                    'await_subscriptions': sum(PLAYED_SUBSCRIPTIONS[p] for p in feed.places),
                },
            )
            answered = 0
            for told in nodes.follow('bag_player', START_TIMEOUT):
                answered = told['answered']
                if progress is not None:
                    progress(answered, feed.count)
            nodes.stop('recorder', RECORDER_TIMEOUT)
        logs = nodes.logs()
        (Path(folder) / 'bag').rename(out_dir / 'bag')
    recorded = out_dir / 'bag'
    return LiveReplay(recorded, feed.count, answered, latencies_ms(recorded, namespace), logs)


def latencies_ms(bag: str | Path, namespace: str = NAMESPACE) -> dict[int, float]:
    """Latency (ms) of each frame that the monitor answered in a live recording, by stamp_ns.

    From the arrival of its camera info at the recorder to that of the last message with its
    stamp.
    """
    prefix = f'/{namespace.strip("/")}'
    info = f'{prefix}/color/camera_info'
    # A state has no stamp.
    offsets = {
        f'{prefix}/{topic.name}': MARKERS if topic.name == 'markers' else HEADER
        for topic in (*PERCEPTION, *MONITOR)
        if topic.name != 'pour_state'
    }
    came: dict[int, int] = {}
    last: dict[int, int] = {}
    answered: set[int] = set()
    with BagReader(bag) as reader:
        for message in reader.messages([info, *offsets]):
            if message.topic == info:
                came.setdefault(stamp_of(message.data), message.stamp_ns)
                continue
            stamp_ns = stamp_of(message.data, offsets[message.topic])
            last[stamp_ns] = message.stamp_ns
            if offsets[message.topic] == MARKERS:
                answered.add(stamp_ns)
    return {s: (last[s] - came[s]) / 1e6 for s in sorted(answered) if s in came}
