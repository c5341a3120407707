# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Each Python file of the repository starts with its copyright and its licence, as ament has it.

Names the files that do not and exits with 1; `--fix` writes the lines.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPYRIGHT = '# Copyright 2026 pourit_ros contributors\n'
LICENCE = '# SPDX-License-Identifier: Apache-2.0\n'


def with_header(text: str) -> str:
    """The text of a file with both lines at its top, below a #! line."""
    shebang = ''
    if text.startswith('#!'):
        shebang, _, text = text.partition('\n')
        shebang += '\n'
    text = text.removeprefix(COPYRIGHT).removeprefix(LICENCE)
    return shebang + COPYRIGHT + LICENCE + text


def main() -> int:
    """Check the tracked files, or mend them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--fix', action='store_true', help='write what is missing')
    fix = parser.parse_args().fix
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '*.py'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    missing = 0
    for name in filter(None, listed.stdout.split('\0')):
        path = ROOT / name
        old = path.read_text()
        new = with_header(old)
        if old == new or not old:
            continue
        if fix:
            path.write_text(new)
        else:
            missing += 1
            print(f'{name}: does not start with its copyright and licence', file=sys.stderr)
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
