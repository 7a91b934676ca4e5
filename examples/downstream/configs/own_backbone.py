# The detector of by_name.py on a backbone of this project.
_base_ = 'by_name.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='GhostOSANet',
        channels=[32, 64, 96, 128],
        out_indices=(1, 2, 3),
    ),
    neck=dict(in_channels=[64, 96, 128]),
)
