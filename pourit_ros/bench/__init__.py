# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measurements quoted in the documentation, each behind a `pourit bench` command."""
