# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from .cli.main import main

main()
