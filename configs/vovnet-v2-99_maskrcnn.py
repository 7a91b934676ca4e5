# Mask R-CNN, VoVNetV2-99, COCO 3x; the authors' with ImageNet weights: box AP 44.9, mask
# AP 40.3. with_cp=True in the backbone takes far less memory.
_base_ = 'vovnet-v2-39_maskrcnn.py'

model = dict(backbone=dict(arch='v2-99'))
