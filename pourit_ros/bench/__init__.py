# SPDX-License-Identifier: Apache-2.0
"""Measurements that the documentation quotes, each behind a `pourit bench` command."""
