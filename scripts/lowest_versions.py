# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Print the lowest release that setup.py allows of each requirement, for `make test-lowest`.

Of 1.2 the newest 1.2.*. Without torch: its older builds on PyPI carry gigabytes of CUDA.
"""

import re
from importlib.metadata import requires

EXTRAS = ('export', 'train')
LEFT_OUT = {'torch'}
# What open3d 0.18 imports and the newest, whose needs .venv holds, does without.
OPEN3D_NEEDS = (
    'scikit-learn~=1.3.0',
    'joblib~=1.3.0',
    'threadpoolctl~=3.2.0',
    'pandas~=2.0.0',
    'python-dateutil',
    'pytz',
    'addict',
    'tqdm',
)

for line in requires('pourit_ros') or []:
    requirement, _, marker = line.partition(';')
    if marker and not any(f'"{extra}"' in marker for extra in EXTRAS):
        continue
    match = re.fullmatch(r'([\w-]+)>=([\d.]+)', requirement.strip())
    if match and match[1] not in LEFT_OUT:
        print(f'{match[1]}~={match[2]}.0')
print(*OPEN3D_NEEDS, sep='\n')
