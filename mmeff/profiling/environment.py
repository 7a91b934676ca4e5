"""The machine and the software that a measurement was taken on."""

import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import psutil
import torch

import mmeff
from mmeff.ops import backend

PACKAGES = (
    'torch',
    'torchvision',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'mmdet',
    'numpy',
    'nvidia-ml-py',
)


def describe_environment(device: str | torch.device) -> dict:
    """Describe hardware, software and the settings of torch in this moment.

    Args:
        device: Where the measurement runs.

    Returns:
        Strings, numbers and booleans by name; None where something does not exist or
        cannot be found out.
    """
    device = torch.device(device)
    return {
        'timestamp': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'mmeff': mmeff.__version__,
        'git_commit': _git_commit(),
        'python': platform.python_version(),
        'packages': {name: _version(name) for name in PACKAGES},
        'opencv': cv2.__version__,
        'mmcv_backend': backend(),
        'os': platform.platform(),
        'cpu': _cpu_model(),
        'cpu_cores': psutil.cpu_count(logical=False),
        'cpu_threads': psutil.cpu_count(),
        'cpu_available': len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, 'cpu_affinity')
        else None,
        'memory_gib': round(psutil.virtual_memory().total / 2**30, 1),
        'torch_threads': torch.get_num_threads(),
        'cv2_threads': cv2.getNumThreads(),
        'omp_num_threads': os.environ.get('OMP_NUM_THREADS'),
        **(_cuda(device) if device.type == 'cuda' else {'gpu': None}),
    }


def device_name(device: str | torch.device) -> str:
    """Name of a device for people: that of the GPU, or 'cpu'."""
    device = torch.device(device)
    return torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of mmeff's checkout, with '-dirty' when it has changes; None in a wheel."""
    root = Path(mmeff.__file__).parents[1]
    if not (root / '.git').exists():
        return None
    return _output_of(
        'git', '-C', str(root), 'describe', '--always', '--dirty', '--abbrev=40'
    )


def _output_of(*command: str) -> str | None:
    """First line that a command prints, None if there is no such command or it fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False
    )
    lines = done.stdout.splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def _cpu_model() -> str | None:
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or None


def _cuda(device: torch.device) -> dict:
    properties = torch.cuda.get_device_properties(device)
    driver = _output_of(
        'nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'
    )
    return {
        'gpu': properties.name,
        'gpu_memory_gib': round(properties.total_memory / 2**30, 1),
        'gpu_capability': f'{properties.major}.{properties.minor}',
        'driver': driver,
        'cuda': torch.version.cuda,
        'cudnn': torch.backends.cudnn.version(),
        'matmul_tf32': torch.backends.cuda.matmul.allow_tf32,
        'cudnn_tf32': torch.backends.cudnn.allow_tf32,
        'cudnn_benchmark': torch.backends.cudnn.benchmark,
        'cudnn_deterministic': torch.backends.cudnn.deterministic,
    }
