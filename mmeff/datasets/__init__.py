"""Data sets: any folder adopted into a config, and shapes that are drawn.

None of it needs torch, but for `coco_dataset`, which extends a class of mmdet.
"""

from mmeff.datasets.adopt import adopt
from mmeff.datasets.layouts import DataFolder, Split, read_folder
from mmeff.datasets.shapes import make_shapes

__all__ = ['DataFolder', 'Split', 'adopt', 'make_shapes', 'read_folder']
