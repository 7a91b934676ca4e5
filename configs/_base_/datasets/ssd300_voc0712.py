# VOC 07+12 with the augmentation of SSD, at 300x300. Objects marked as difficult are not
# trained on; Caffe's SSD does so.
_base_ = ['voc0712.py', 'ssd_pipelines.py']

train_pipeline = _base_.ssd_train_pipeline
test_pipeline = _base_.ssd_test_pipeline
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    # No batch of a single image: BN has nothing to average on a map of one cell.
    drop_last=True,
    batch_sampler=None,
    dataset=dict(
        datasets=[
            dict(dataset, pipeline=train_pipeline)
            for dataset in _base_.train_dataloader.dataset.datasets
        ],
    ),
)
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
