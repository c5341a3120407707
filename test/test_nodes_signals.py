# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM at every stage of a node's life, in foreground and background alike."""

import os
import signal
import subprocess
import sys

import pytest
from live_pour import PATIENCE
from processes import interruptible, uninterruptible

from pourit_ros.live.processes import RosProcesses, free_domain

pytest.importorskip('rclpy')
pytestmark = pytest.mark.live

# A node that says where it is and stays there for ever.
SLOW = """
import sys, time, types

def stay(where):
    print(where, flush=True)
    while True:
        time.sleep(0.01)

class Module(types.ModuleType):
    def __getattr__(self, name):
        if name != 'Slow':
            raise AttributeError(name)
        if STAGE == 'import':
            stay('import')
        from pourit_ros.nodes.base import ManagedNode

        class Slow(ManagedNode):
            def __init__(self):
                super().__init__('slow', ())

            def configure(self):
                with self.interruptible():
                    if STAGE == 'configure':
                        stay('configure')

            def activate(self):
                print('activate', flush=True)

            def cleanup(self):
                print('cleanup', flush=True)

        return Slow

STAGE = sys.argv.pop(1)
sys.modules['pourit_ros.nodes.slow'] = Module('pourit_ros.nodes.slow')
from pourit_ros.nodes.runner import run

run('slow', 'Slow')
"""


@pytest.mark.parametrize('start', [interruptible, uninterruptible])
@pytest.mark.parametrize('blow', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ('stage', 'after'), [('import', ''), ('configure', 'cleanup\n'), ('activate', 'cleanup\n')]
)
def test_a_node_ends_in_order_at_every_stage(stage, after, blow, start):
    process = subprocess.Popen(
        [sys.executable, '-c', SLOW, stage],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=start,
        env=os.environ
        | {'ROS_DOMAIN_ID': str(free_domain()), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
    )
    assert process.stdout.readline() == f'{stage}\n'
    process.send_signal(blow)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, after)
    assert 'Traceback' not in err


def test_nodes_of_a_background_job_take_sigint_from_their_first_moment(tmp_path):
    """They inherit what their parent ignores, and would miss it before they look after signals."""
    script = (
        'import sys, time\n'
        'from pathlib import Path\n'
        'from pourit_ros.live.processes import RosProcesses\n'
        "with RosProcesses(Path(sys.argv[1]), 'pourit') as nodes:\n"
        "    nodes.start('recorder', {})\n"
        '    status = Path(f\'/proc/{nodes.pid("recorder")}/status\').read_text()\n'
        "    print(next(l for l in status.splitlines() if l.startswith('SigIgn')))\n"
    )
    done = subprocess.run(
        [sys.executable, '-c', script, str(tmp_path)],
        capture_output=True,
        text=True,
        preexec_fn=uninterruptible,
        timeout=PATIENCE,
    )
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored & 1 << signal.SIGINT - 1


def test_a_monitor_that_ends_leaves_no_flow_in_the_latch(tmp_path, stripe_weights):
    from live_pour import Client

    with RosProcesses(tmp_path, 'pourit') as nodes:
        nodes.start('liquid_perception', {'weights': str(stripe_weights), 'device': 'cpu'})
        nodes.start('pour_monitor', {'stale_after': 0.0})
        client = Client(nodes)
        try:
            assert client.subscribed(1)
            client.until_state('flowing')
            nodes.stop('pour_monitor', PATIENCE)
            assert client.wait(lambda: client.states[-1] == 'idle')
        finally:
            client.close()
