# As ssd300_voc0712.py, at 304x304.
_base_ = 'ssd300_voc0712.py'

train_pipeline = _base_.train_pipeline
train_pipeline[5] = dict(type='Resize', scale=(304, 304), keep_ratio=False)
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(304, 304), keep_ratio=False)

train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(dataset, pipeline=train_pipeline)
            for dataset in _base_.train_dataloader.dataset.datasets
        ],
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
