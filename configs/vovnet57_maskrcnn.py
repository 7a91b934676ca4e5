# Mask R-CNN, VoVNet-57-GN, COCO from scratch, 3x: VoVNet paper, Table 5
# (published: box AP 41.9, mask AP 37.0).
_base_ = 'vovnet39_maskrcnn.py'

model = dict(backbone=dict(arch='57'))
