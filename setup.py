# SPDX-License-Identifier: Apache-2.0
from glob import glob

from setuptools import find_packages, setup

package_name = 'pourit_ros'
share = f'share/{package_name}'

nodes = ['liquid_perception', 'pour_monitor', 'bag_player', 'recorder']
perception = [
    'numpy>=1.24',
    'opencv-python-headless>=4.7',
    'safetensors>=0.4',
    'scikit-image>=0.21',
    'scipy>=1.10',
    'torch>=2.2',
]
tools = [
    'open3d>=0.18',
    'av>=12',
    'plotly>=5.18',
    'PyYAML>=6.0',
    'rich>=13.0',
    'rosbags>=0.11',
    'typer>=0.12',
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
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (share, ['package.xml']),
        (f'{share}/launch', glob('launch/*.launch.py')),
        (f'{share}/config', glob('config/*.*')),
        (f'{share}/config/train', glob('config/train/*')),
        (f'{share}/models', glob('models/*')),
    ],
    install_requires=perception + tools,
    extras_require={
        'ros': ros_jazzy_wheels,
        'onnx': ['onnx>=1.15', 'onnxruntime>=1.17'],
        'train': ['lightning-fabric>=2.4', 'tensorboard>=2.15'],
        'synth': ['mitsuba>=3.7', 'pyoidn>=2.5'],
        'test': [
            'hypothesis>=6.90',
            'lightning-fabric>=2.4',
            'mypy>=1.8',
            'onnx>=1.15',
            'onnxruntime>=1.17',
            'pytest>=7.4',
            'ruff>=0.6',
            'tensorboard>=2.15',
            'types-PyYAML',
        ],
    },
    python_requires='>=3.10',
    zip_safe=True,
    maintainer='pourit_ros maintainers',
    maintainer_email='maintainers@pourit-ros.invalid',
    description='Watch a robot pour: liquid mask, 3D stream and distance from RGB-D.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'pourit = pourit_ros.cli.main:main',
            *(f'{node} = pourit_ros.nodes.{node}:main' for node in nodes),
        ]
    },
)
