# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit doctor`: report the installation, its problems and their cures."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import typer

from .. import __version__
from ..perception.devices import offered_devices
from ..perception.find_weights import SHIPPED, find_weights, known_weights
from ..resources import find_resource
from .terminal import show

# By the name that Python imports: the name that pip installs.
REQUIRED = {
    'numpy': 'numpy', 'cv2': 'opencv-python-headless', 'onnxruntime': 'onnxruntime',
    'scipy': 'scipy', 'skimage': 'scikit-image', 'safetensors': 'safetensors', 'av': 'av',
    'plotly': 'plotly', 'yaml': 'PyYAML', 'rich': 'rich', 'rosbags': 'rosbags', 'open3d': 'open3d',
    'typer': 'typer',
}  # fmt: skip
# By extra of this package.
OPTIONAL = {
    'export': ('onnx', 'torch'),
    'train': ('torch', 'lightning_fabric', 'tensorboard'),
    'synth': ('mitsuba', 'pyoidn'),
    'rerun': ('rerun',),
}
ROS_VARIABLES = (
    'ROS_DOMAIN_ID', 'ROS_LOCALHOST_ONLY', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS',
)  # fmt: skip
PROFILES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
FILES = ('config/containers.yaml', 'config/pourit.yaml', 'config/fastdds_large_images.xml')
MISSING = 'not installed'
ASK_RCLPY = """
import importlib.metadata, rclpy
from rclpy.utilities import get_rmw_implementation_identifier as rmw
try: version = importlib.metadata.version('rclpy')
except importlib.metadata.PackageNotFoundError:
    try: version = importlib.metadata.version('ros-rclpy')
    except importlib.metadata.PackageNotFoundError: version = 'unknown'
print(version, rmw())
"""


@dataclass(frozen=True)
class Problem:
    """A problem of the installation; `required`: commands fail because of it."""

    what: str
    cure: str
    required: bool = False


@dataclass
class Findings:
    """The facts found, by section and name, and the problems."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def doctor() -> None:
    """Report the installation, its problems and how to fix them.

    Versions of the package, Python, its libraries, ROS 2 and RMW; devices, weights, Fast DDS
    profiles. Exit status 1 if something that commands need is missing.

    Example: pourit doctor
    """
    found = examine(os.environ)
    lines = []
    for title, entries in found.sections.items():
        lines += [title, *(f'  {name}: {value}' for name, value in entries.items())]
    lines.append('problems' if found.problems else 'no problems found')
    for problem in found.problems:
        kind = 'required' if problem.required else 'warning'
        lines += [f'  {kind}: {problem.what}', f'    cure: {problem.cure}']
    failed = any(problem.required for problem in found.problems)
    document: dict[str, Any] = {
        'status': int(failed),
        **found.sections,
        'problems': [asdict(problem) for problem in found.problems],
    }
    show(document, '\n'.join(lines))
    if failed:
        raise typer.Exit(1)


def examine(environment: Mapping[str, str]) -> Findings:
    """Examine everything; `environment`: like os.environ."""
    found = Findings()
    found.sections['system'] = {
        'pourit_ros': __version__,
        'python': f'{platform.python_version()}, {sys.executable}',
        'platform': platform.platform(),
        'cpus': str(os.cpu_count()),
    }
    _libraries(found)
    _devices(found)
    _ros(found, environment)
    _profiles(found, environment)
    _weights(found, environment)
    _files(found)
    return found


def _libraries(found: Findings) -> None:
    found.sections['libraries'] = entries = {}
    for module, package in REQUIRED.items():
        entries[module] = _version(module)
        if entries[module] == MISSING:
            found.problems.append(
                Problem(f'{module} is not installed', f"pip install '{package}'", True)
            )
        elif entries[module].startswith('broken'):
            cure = f"pip install --force-reinstall '{package}'"
            found.problems.append(Problem(f'{module} is {entries[module]}', cure, True))
    found.sections['extras'] = extras = {}
    for extra, modules in OPTIONAL.items():
        for module in modules:
            extras[module] = _version(module)
            if extras[module] == MISSING:
                extras[module] += f": pip install 'pourit_ros[{extra}]'"
            elif extras[module].startswith('broken'):
                cure = f"pip install --force-reinstall 'pourit_ros[{extra}]'"
                found.problems.append(Problem(f'{module} is {extras[module]}', cure))


def _version(module: str) -> str:
    """The version if it can be imported; otherwise MISSING or 'broken (why)'."""
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        return MISSING if error.name in (module, None) else f'broken ({error})'
    except Exception as error:
        return f'broken ({" ".join(str(error).split())})'
    version = getattr(loaded, '__version__', None)
    if version is None:
        try:
            names = importlib.metadata.packages_distributions().get(module, [module])
            version = importlib.metadata.version(names[0])
        except importlib.metadata.PackageNotFoundError:
            version = 'unknown version'
    return str(version)


def _devices(found: Findings) -> None:
    found.sections['devices'] = entries = {}
    entries['onnxruntime'] = ', '.join(offered_devices()) or MISSING
    try:
        import torch
    except Exception:
        return
    entries['torch threads'] = str(torch.get_num_threads())
    if torch.cuda.is_available():
        for k in range(torch.cuda.device_count()):
            entries[f'cuda:{k}'] = torch.cuda.get_device_name(k)
        return
    built = torch.version.cuda
    entries['cuda'] = 'none' if built is None else f'none, though torch is built for CUDA {built}'
    if built is not None and Path('/dev/nvidia0').exists():
        found.problems.append(
            Problem(
                f'torch {torch.__version__} does not see the NVIDIA GPU of this machine',
                'compare `nvidia-smi` with the CUDA version of torch; '
                'https://pytorch.org/get-started lists builds by driver',
            )
        )


def _ros(found: Findings, environment: Mapping[str, str]) -> None:
    distro = environment.get('ROS_DISTRO', '')
    wanted = environment.get('RMW_IMPLEMENTATION', '')
    rclpy, rmw = MISSING, wanted or 'default'
    if importlib.util.find_spec('rclpy') is not None:
        # A process of its own: rclpy ends the one that loads a middleware that is not there.
        done = subprocess.run(
            [sys.executable, '-c', ASK_RCLPY],
            capture_output=True,
            text=True,
            env={**environment},
            check=False,
        )
        said = done.stdout.split()
        if done.returncode == 0 and len(said) == 2:
            rclpy, rmw = said
        else:
            rclpy = f'broken ({_reason(done.stderr) or f"exit status {done.returncode}"})'
    found.sections['ros'] = entries = {'distribution': distro or 'none sourced', 'rclpy': rclpy}
    if rclpy == MISSING:
        entries['rclpy'] = (
            "not installed: source a ROS 2 installation, or pip install 'pourit_ros[ros]' "
            '(only nodes, demo and replay --live need it)'
        )
        if distro:
            found.problems.append(
                Problem(
                    f'ROS {distro} is sourced, but this Python cannot import rclpy',
                    f'run pourit with the Python of ROS {distro}; this one is {sys.executable}',
                )
            )
    elif rclpy.startswith('broken'):
        cure = 'source one ROS 2 distribution only, made for this Python'
        if wanted:
            cure = f'install {wanted}, or unset RMW_IMPLEMENTATION; else {cure}'
        found.problems.append(Problem(f'rclpy is {rclpy}', cure))
    entries['rmw'] = rmw
    entries |= {name: environment[name] for name in ROS_VARIABLES if name in environment}


def _reason(log: str) -> str:
    """The most telling line of a log: the first error of rcl, otherwise the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if '[ERROR]' in line), lines[-1] if lines else '')


def _profiles(found: Findings, environment: Mapping[str, str]) -> None:
    found.sections['fast dds profile'] = entries = {}
    for name in PROFILES:
        path = environment.get(name, '')
        entries[name] = path or 'not set'
        if path and not Path(path).is_file():
            cure = f'unset {name}, or point it at config/fastdds_large_images.xml of this package'
            found.problems.append(Problem(f'{name}={path}: no such file', cure))


def _weights(found: Findings, environment: Mapping[str, str]) -> None:
    found.sections['weights'] = entries = {}
    folder = environment.get('POURIT_MODEL_DIR', '')
    if folder:
        entries['POURIT_MODEL_DIR'] = folder
        if not Path(folder).is_dir():
            cure = 'make that folder, or unset POURIT_MODEL_DIR'
            found.problems.append(Problem(f'POURIT_MODEL_DIR={folder}: no such folder', cure))
    for name in known_weights():
        try:
            path = find_weights(name)
            entries[name] = str(path)
            from ..perception import Segmenter

            Segmenter(path, 'cpu', threads=1)
        except ImportError:
            # Said among the libraries.
            continue
        except Exception as error:
            entries.setdefault(name, 'missing')
            cure = (
                f'reinstall pourit_ros; it ships {name}.safetensors'
                if name in SHIPPED and not (folder and entries[name].startswith(folder))
                else f'train or copy it again, or delete {entries[name]}'
            )
            found.problems.append(Problem(f'weights {name}: {error}', cure, name == SHIPPED[0]))


def _files(found: Findings) -> None:
    for file in FILES:
        try:
            find_resource(file)
        except FileNotFoundError as error:
            cure = 'in a workspace run colcon build again; with pip, reinstall pourit_ros'
            found.problems.append(Problem(str(error), cure, True))
