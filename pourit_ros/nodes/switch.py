# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle nodes with a worker that can be paused and reset without reloading."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic

from std_srvs.srv import SetBool, Trigger

from ..messages.errors import MessageError
from .base import ManagedNode
from .parameters import Parameter
from .worker import Item, Worker


class SwitchedNode(ManagedNode, Generic[Item]):
    """Adds the services `~/enable` (std_srvs/SetBool) and `~/reset` (std_srvs/Trigger).

    A disabled node accepts and answers no frames; every activation enables it again. Subclasses
    check `enabled` before they accept a frame, `feed` the messages of callbacks, and implement
    `take`, `answer` and `forget`. `answer` publishes with `answering` held, and only while `epoch`
    is the same as when the frame arrived: once `~/enable` or `~/reset` has answered, no result
    from before is published.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        super().__init__(name, parameters)
        self.enabled = True
        self.answering = threading.Lock()
        self.epoch = 0
        self.worker: Worker[Item] = Worker(self.take, self.answer, self.failed)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset', self._on_reset)

    def activate(self) -> None:
        """Accept frames again."""
        self.enabled = True
        self.health.paused = False

    def take(self) -> Item | None:
        """The next item to answer; called by the worker, with its lock held."""
        raise NotImplementedError

    def answer(self, item: Item) -> None:
        """Process the item and publish; called by the worker."""
        raise NotImplementedError

    def forget(self, poses: bool) -> None:
        """Forget all frames so far and, if `poses`, the poses; the worker's lock is held."""
        raise NotImplementedError

    def feed(self, take_in: Callable[..., None], *arguments: Any) -> None:
        """Hand a message to the worker, with its lock held."""
        with self.worker.lock:
            try:
                take_in(*arguments)
            except MessageError as error:
                self.unusable(error)
            self.worker.wake()

    def begin_anew(self) -> None:
        """From now on, answer no frame that arrived earlier."""
        with self.answering:
            self.epoch += 1

    def _reset(self, poses: bool) -> None:
        with self.worker.lock:
            self.forget(poses)
        self.begin_anew()

    def _on_enable(self, request: Any, response: Any) -> Any:
        response.success, response.message = self._allowed()
        if response.success:
            self.enabled = bool(request.data)
            self.health.paused = not self.enabled
            self._reset(poses=False)
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        response.success, response.message = self._allowed()
        if response.success:
            self._reset(poses=True)
        return response

    def _allowed(self) -> tuple[bool, str]:
        return (True, '') if self.health.active else (False, 'the node is not active')
