# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""QoS of inputs and outputs; inputs use the reliability that their publishers offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from ..messages.contract import Topic

# Newest image only: every further place in the queue adds one inference to the latency.
IMAGE_DEPTH = 1
# Depth images wait in the assembler for the colour image of their stamp, and may come in bursts.
DEPTH_DEPTH = 10
# Poses and TF are kept by stamp, none is outdated: 0.2 s of a 1 kHz topic.
POSE_DEPTH = 200
OUTPUT_DEPTH = 10


def output_qos(topic: Topic) -> QoSProfile:
    """QoS with which a topic of the contract is published (and recorded)."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1 if topic.latched else OUTPUT_DEPTH,
        reliability=(
            ReliabilityPolicy.RELIABLE if topic.reliable else ReliabilityPolicy.BEST_EFFORT
        ),
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
        ),
    )


class Input:
    """A subscription whose reliability follows the publishers of its topic.

    Reliable when every publisher is; otherwise best effort, since a reliable subscription would
    receive nothing from a best-effort publisher. The subscription is created when the first
    publisher appears; since its reliability is fixed, `refresh` re-creates it when publishers
    change. `required`: the node needs this input and expects one publisher.
    """

    def __init__(
        self,
        node: Node,
        message_type: Any,
        topic: str,
        callback: Callable[[Any], None],
        profile: QoSProfile,
        reliability: str,
        raw: bool,
        required: bool,
    ) -> None:
        self._node = node
        self.topic = topic
        self.resolved = node.resolve_topic_name(topic)
        """The full name, after namespace and remapping."""
        self._arguments = (message_type, topic, callback)
        self._profile = profile
        self._raw = raw
        self._wanted = reliability
        self._required = required
        self._in_effect: ReliabilityPolicy | None = None
        self._subscription: Subscription | None = None

    @property
    def subscribed(self) -> bool:
        """Whether there is a subscription now."""
        return self._subscription is not None

    def refresh(self) -> None:
        """Subscribe, or subscribe again if the publishers have changed."""
        reliability = self._choose()
        if reliability is None or reliability is self._in_effect:
            return
        self.close()
        self._profile.reliability = reliability
        self._subscription = self._node.create_subscription(
            *self._arguments, self._profile, raw=self._raw
        )
        self._in_effect = reliability

    def close(self) -> None:
        """Drop the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription, self._in_effect = None, None

    def describe(self) -> str:
        """The full name, the publishers' offer and the reliability in use, for diagnostics."""
        count = len(self._offers())
        publishers = f'{self.resolved}, {count} publisher{"" if count == 1 else "s"}'
        return publishers if self._in_effect is None else f'{publishers}, {_word(self._in_effect)}'

    def trouble(self) -> str:
        """Why nothing, or too much, arrives; '' if all is well or the input is optional."""
        offers = self._offers()
        if not offers:
            return f'no publisher on {self.resolved}' if self._required else ''
        if self._in_effect is ReliabilityPolicy.RELIABLE and any(
            offer.reliability is ReliabilityPolicy.BEST_EFFORT for offer in offers
        ):
            return 'reliable is requested, but a publisher offers best effort'
        if self._profile.durability is DurabilityPolicy.TRANSIENT_LOCAL:
            # Latched topics have as many publishers as they like.
            volatile = any(o.durability is DurabilityPolicy.VOLATILE for o in offers)
            return 'a publisher does not latch it' if volatile else ''
        if self._required and len(offers) > 1:
            return f'{len(offers)} publishers, expected one'
        return ''

    def _offers(self) -> list[QoSProfile]:
        # By the short name: rclpy resolves it, and would remap a full name once more.
        infos = self._node.get_publishers_info_by_topic(self.topic)
        return [info.qos_profile for info in infos]

    def _choose(self) -> ReliabilityPolicy | None:
        if self._wanted == 'reliable':
            return ReliabilityPolicy.RELIABLE
        if self._wanted == 'best_effort':
            return ReliabilityPolicy.BEST_EFFORT
        offered = {offer.reliability for offer in self._offers()}
        if not offered:
            return None
        if offered == {ReliabilityPolicy.RELIABLE}:
            return ReliabilityPolicy.RELIABLE
        return ReliabilityPolicy.BEST_EFFORT


def _word(reliability: ReliabilityPolicy) -> str:
    return reliability.name.lower().replace('_', ' ')
