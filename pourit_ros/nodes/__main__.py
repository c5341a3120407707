# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from .runner import main

main()
