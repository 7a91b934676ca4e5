# The same, where mmeff was not imported before the config is read (mmdet's own tools).
_base_ = __import__('mmeff').config_path('vovnet39_maskrcnn.py')

model = dict(backbone=dict(arch='57'))
