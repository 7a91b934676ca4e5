# mmengine's new style: classes are imported, bases are read as modules.
from mmengine.config import read_base

with read_base():
    from ._base_.new_style_base import *  # noqa: F403

model.update(arch='27-slim')  # noqa: F405
by_name = dict(type='mmeff.VoVNet', arch='27-slim', out_indices=(0, 1))
# An old-style config of mmeff, as a dictionary to build on.
base = __import__('mmeff').config_path('vovnet39_maskrcnn.py')
