# SPDX-License-Identifier: Apache-2.0
"""Simulated pours with known truth."""
