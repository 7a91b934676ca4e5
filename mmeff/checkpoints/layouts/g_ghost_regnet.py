"""G-Ghost RegNet as its authors publish it, with the names of torchvision's ResNet."""

from mmeff.checkpoints.layouts.rules import Layout, rename

OFFICIAL = (
    (r'^conv1\.', 'stem.conv.'),
    (r'^bn1\.', 'stem.norm.'),
    (r'^layer(\d)\.', lambda m: f'stages.{int(m[1]) - 1}.'),
    (r'\.conv(\d)\.', r'.conv\1.conv.'),
    (r'\.bn(\d)\.', r'.conv\1.norm.'),
    (r'\.(downsample|cheap)\.0\.', r'.\1.conv.'),
    (r'\.(downsample|cheap)\.1\.', r'.\1.norm.'),
    # Modules 0 and 3 of merge are the pool and the activation.
    (r'\.merge\.1\.', '.mix.0.conv.'),
    (r'\.merge\.2\.', '.mix.0.norm.'),
    (r'\.merge\.4\.', '.mix.1.conv.'),
    (r'\.merge\.5\.', '.mix.1.norm.'),
    (r'^fc\.', 'head.fc.'),
)

LAYOUTS = (
    Layout('official', r'^layer\d\.', lambda state, model: rename(state, OFFICIAL)),
)
