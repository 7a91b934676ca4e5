# As ssd300_coco.py, at 512x512.
_base_ = 'ssd300_coco.py'

train_pipeline = _base_.train_pipeline
train_pipeline[5] = dict(type='Resize', scale=(512, 512), keep_ratio=False)
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(512, 512), keep_ratio=False)

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
