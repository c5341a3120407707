# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run ROS nodes as child processes in their own ROS domain. Imports no rclpy."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..resources import find_resource

# Domains whose ports stay below Linux' ephemeral ports; 0 is everybody's default.
DOMAINS = range(1, 102)
# What a node gets to end after SIGINT, s; it may be in the middle of an inference.
PATIENCE = 10.0
# How often the output of nodes is looked at, s.
POLL = 0.05
# Lines of a node's log that an error quotes.
TAIL = 3
PR_SET_PDEATHSIG = 1
# Where Fast DDS looks for its profile: up to Jazzy, and from Kilted on.
FAST_DDS_2, FAST_DDS_3 = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
# rclpy's major version.
KILTED = 9


def require_ros() -> None:
    """Raise InputError if rclpy cannot be imported."""
    if importlib.util.find_spec('rclpy') is None:
        raise InputError(
            f'{sys.executable} finds no rclpy: source a ROS 2 installation, '
            "or install this package with its extra: pip install '.[ros]'"
        )


class RosProcesses:
    """Run nodes of this package as processes that always end with the `with` block.

    They share a free ROS domain on this host and the Fast DDS profile for large images (unless
    the user has set one). Output goes to files in `folder`. They end with a killed parent. Raises
    InputError if rclpy is missing.
    """

    def __init__(self, folder: Path, namespace: str) -> None:
        require_ros()
        self._folder = folder
        self._namespace = '/' + namespace.strip('/')
        self.environment = _environment(folder)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._read: dict[str, int] = {}

    def __enter__(self) -> RosProcesses:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # After an error nobody waits for tidy ends.
        self._end(PATIENCE if error is None else 1.0)

    def start(
        self, node: str, parameters: Mapping[str, Any], remappings: Mapping[str, str] | None = None
    ) -> None:
        """Start a node by the name of its executable; `remappings` of its topics' names."""
        file = self._folder / f'{node}.yaml'
        # A file and not -p: YAML quotes texts that look like numbers.
        file.write_text(yaml.safe_dump({'/**': {'ros__parameters': dict(parameters)}}))
        command = [
            sys.executable, '-m', 'pourit_ros.nodes', node,
            '--ros-args', '-r', f'__ns:={self._namespace}', '--params-file', str(file),
        ]  # fmt: skip
        for name, other in (remappings or {}).items():
            command += ['-r', f'{name}:={other}']
        parent, libc = os.getpid(), ctypes.CDLL(None)

        def die_with_parent() -> None:
            # Ignored where this runs in the background of a shell, which a child inherits.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        with open(self._out(node), 'wb') as out, open(self._log(node), 'wb') as log:
            self._processes[node] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=self.environment,
                # Ctrl-C is the parent's: it ends them in order.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def check(self) -> None:
        """Raise InputError when a node has failed."""
        for node, process in self._processes.items():
            if process.poll():
                raise InputError(self._last_words(node))

    def running(self, node: str) -> bool:
        """Whether a node is still running."""
        return self._processes[node].poll() is None

    def pid(self, node: str) -> int:
        """Process id of a node."""
        return self._processes[node].pid

    def stop(self, node: str, timeout: float) -> None:
        """Stop a node and wait for it; raises InputError when it fails or does not end."""
        process = self._processes[node]
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise InputError(f'{node} does not stop: {self._last_words(node)}') from None
        self.check()

    def new_lines(self, node: str) -> list[str]:
        """Complete lines that the node has printed on stdout since the last call."""
        with open(self._out(node), 'rb') as file:
            file.seek(self._read.get(node, 0))
            text = file.read()
        end = text.rfind(b'\n') + 1
        self._read[node] = self._read.get(node, 0) + end
        return text[:end].decode(errors='replace').splitlines()

    def follow(self, node: str, patience: float) -> Iterator[dict[str, Any]]:
        """Yield what a node prints on stdout, a JSON object a line, until it ends.

        Raises InputError when any node fails, or when nothing comes in the first `patience` s.
        """
        heard = False
        deadline = time.monotonic() + patience
        while True:
            running = self.running(node)
            self.check()
            for line in self.new_lines(node):
                heard = True
                yield json.loads(line)
            if not running:
                return
            if not heard and time.monotonic() > deadline:
                raise InputError(f'the nodes did not discover each other within {patience:.0f} s')
            time.sleep(POLL)

    def logs(self) -> dict[str, str]:
        """What each node has logged so far."""
        return {node: self._log(node).read_text(errors='replace') for node in self._processes}

    def _last_words(self, node: str) -> str:
        status = self._processes[node].poll()
        said = {name: _complaints(log) for name, log in self.logs().items()}
        own = ' | '.join(said.pop(node)[-TAIL:]) or f'ended with status {status} without a message'
        others = [f'; {name}: {lines[-1]}' for name, lines in said.items() if lines]
        return f'{node}: {own}{"".join(others)}'

    def _end(self, patience: float) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        try:
            for process in self._processes.values():
                process.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        finally:
            for process in self._processes.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def _out(self, node: str) -> Path:
        return self._folder / f'{node}.out'

    def _log(self, node: str) -> Path:
        return self._folder / f'{node}.log'


def _complaints(log: str) -> list[str]:
    """Warnings and errors of a log, without their severity."""
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith('INFO')]
    return [re.sub(r'^(WARN|ERROR|FATAL): ', '', line) for line in lines]


def _environment(folder: Path) -> dict[str, str]:
    environment = dict(os.environ)
    # These would lead the nodes out of this host, or away from each other.
    for name in ('ROS_DISCOVERY_SERVER', 'ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS'):
        environment.pop(name, None)
    # The wheels' guard against a second re-exec; another interpreter needs its own.
    environment.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
    environment.update(
        ROS_DOMAIN_ID=str(free_domain()),
        ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
        ROS_LOG_DIR=str(folder / 'ros_log'),
        RCUTILS_COLORIZED_OUTPUT='0',
        RCUTILS_CONSOLE_OUTPUT_FORMAT='{severity}: {message}',
        PYTHONUNBUFFERED='1',
    )
    environment.update(profile_for_large_images(environment))
    return environment


def profile_for_large_images(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment that gives Fast DDS our profile; empty if the user has chosen one."""
    if environment.get(FAST_DDS_2) or environment.get(FAST_DDS_3):
        return {}
    try:
        rclpy = int(importlib.metadata.version('rclpy').partition('.')[0])
    except (importlib.metadata.PackageNotFoundError, ValueError):
        names = [FAST_DDS_2, FAST_DDS_3]
    else:
        # Fast DDS 3 reads the old name too, with a warning at every start.
        names = [FAST_DDS_2 if rclpy < KILTED else FAST_DDS_3]
    return dict.fromkeys(names, str(find_resource('config/fastdds_large_images.xml')))


def free_domain() -> int:
    """Choose a random ROS domain in which no participant of this host listens.

    DDS-RTPS 2.2, 9.6.1.1: a domain's multicast port is 7400 + 250 d, its first participant's
    unicast port 7410 + 250 d. Raises InputError when none is free.
    """
    for domain in random.sample(DOMAINS, len(DOMAINS)):
        if all(_is_free(7400 + 250 * domain + offset) for offset in (0, 10)):
            return domain
    raise InputError('every ROS domain from 1 to 101 is in use on this host')


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', port))
        except OSError:
            return False
    return True
