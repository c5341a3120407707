# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Who does the work of large tasks: processes here, or a Dask cluster."""
