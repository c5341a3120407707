# SPDX-License-Identifier: Apache-2.0
"""Lifecycle nodes that can be paused and told to forget, without reloading what is heavy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from std_srvs.srv import SetBool, Trigger

from .base import ManagedNode
from .parameters import Parameter


class SwitchedNode(ManagedNode):
    """Adds the services `~/enable` (std_srvs/SetBool) and `~/reset` (std_srvs/Trigger).

    Disabled, a node takes no frame in and answers none; it is enabled anew by every activation.
    Subclasses look at `enabled` before they take a frame in, and fill in `reset`.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        super().__init__(name, parameters)
        self.enabled = True
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset', self._on_reset)

    def activate(self) -> None:
        """Take frames in again."""
        self.enabled = True
        self.health.paused = False

    def reset(self, poses: bool) -> None:
        """Forget the frames taken in so far, and the `poses` too; called while active only."""

    def _on_enable(self, request: Any, response: Any) -> Any:
        response.success, response.message = self._allowed()
        if response.success:
            self.enabled = bool(request.data)
            self.health.paused = not self.enabled
            self.reset(poses=False)
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        response.success, response.message = self._allowed()
        if response.success:
            self.reset(poses=True)
        return response

    def _allowed(self) -> tuple[bool, str]:
        return (True, '') if self.health.active else (False, 'the node is not active')
