# `--preset cells`: `scratch` for pictures that have no upside, from microscopes or from
# above, with objects that touch: boxes may overlap by 0.6 before the lower score is dropped.
_base_ = 'scratch.py'

train_pipeline = _base_.train_pipeline
train_pipeline[6] = dict(
    type='RandomFlip',
    prob=[0.25, 0.25, 0.25],
    direction=['horizontal', 'vertical', 'diagonal'],
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(test_cfg=dict(nms=dict(iou_threshold=0.6)))
