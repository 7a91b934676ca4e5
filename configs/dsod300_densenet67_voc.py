# The smallest DSOD300, DS/64-64-16-1, which the VoVNet paper calls DenseNet-67 and
# compares with in Table 2 (published 73.6 VOC mAP).
_base_ = 'dsod300_densenet_voc.py'

model = dict(
    backbone=dict(arch='ds-64-64-16-1'),
    neck=dict(in_channels=[352, 256]),
    bbox_head=dict(in_channels=[352, 512, 512, 256, 256, 256]),
)
