# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Child processes of tests."""

import signal


def interruptible():
    """`preexec_fn` of a child that is to get SIGINT.

    In the background of a shell (`nohup`, `&`, some CI runners) SIGINT is ignored, and children
    inherit that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def uninterruptible():
    """`preexec_fn` of a child as a shell starts it in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
