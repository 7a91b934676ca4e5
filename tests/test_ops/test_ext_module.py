"""How `mmcv._ext` is found, and what it answers for ops that it does not serve."""

import importlib.util
import pickle
import subprocess
import sys

import mmcv.ops
import pytest
from mmcv import _ext
from mmcv.utils.ext_loader import check_ops_exist

import mmeff.ops


def run_python(code, *path):
    """Standard output of a fresh interpreter with `path` first on its module path."""
    script = f'import sys; sys.path[:0] = {list(map(str, path))}\n{code}'
    result = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_backend_names_who_serves_the_ops():
    assert mmeff.ops.backend() == 'mmeff (torchvision)'


def test_asking_for_the_backend_module_does_not_import_torch():
    code = "import mmeff.ops; print('torch' in sys.modules)"
    assert run_python(code) == 'False'


def test_the_module_has_a_spec_so_that_upstream_checks_pass():
    from mmengine.utils.dl_utils import mmcv_full_available

    assert _ext.__name__ == 'mmcv._ext'
    assert importlib.util.find_spec('mmcv._ext').origin.endswith('_ext.py')
    assert check_ops_exist()
    assert mmcv_full_available()


def test_a_compiled_extension_wins(tmp_path):
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').touch()
    (package / '_ext.py').write_text("WHO = 'compiled'")
    code = 'import mmeff.ops, mmcv._ext\nprint(mmcv._ext.WHO, "/", mmeff.ops.backend())'
    assert run_python(code, tmp_path) == 'compiled / mmcv (compiled)'


def test_without_mmcv_there_is_no_backend():
    code = "sys.modules['mmcv'] = None\nimport mmeff.ops; print(mmeff.ops.backend())"
    assert run_python(code) == 'none'


@pytest.mark.parametrize(
    'name', ['nms_rotated', 'deform_roi_pool_forward', 'psamask_forward']
)
def test_an_unserved_op_raises_with_its_name_and_the_remedy(name):
    with pytest.raises(NotImplementedError, match=f"'{name}'.*compiled mmcv"):
        getattr(_ext, name)(1, keyword=2)


def test_an_unserved_op_raises_through_mmcvs_wrapper():
    import torch

    with pytest.raises(NotImplementedError, match='box_iou_rotated'):
        mmcv.ops.box_iou_rotated(torch.zeros(1, 5), torch.zeros(1, 5))


def test_underscore_names_are_absent_as_in_any_module():
    assert not hasattr(_ext, '__path__')
    assert not hasattr(_ext, '_private')


@pytest.mark.parametrize('name', ['nms', 'nms_rotated'])
def test_functions_of_the_module_pickle(name):
    function = getattr(_ext, name)
    assert repr(pickle.loads(pickle.dumps(function))) == repr(function)


def test_every_served_name_is_exported():
    served = set(_ext.__all__)
    assert all(callable(getattr(_ext, name)) for name in served)
    assert {'nms', 'roi_align_forward', 'modulated_deform_conv_backward'} <= served


def test_versions_are_readable_strings():
    assert 'torchvision' in mmcv.ops.get_compiler_version()
    version = mmcv.ops.get_compiling_cuda_version()
    assert version == 'not available' or float(version) > 10
