# Faster R-CNN, VoVNet-57, COCO 2x; the authors' with ImageNet weights: box AP 40.8. Their
# file is vovnet57_statedict_norm.pth; the rest as in vovnet39_fasterrcnn.py.
_base_ = 'vovnet39_fasterrcnn.py'

model = dict(backbone=dict(arch='57'))
