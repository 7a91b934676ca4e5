import mmeff  # noqa: F401  before any test imports mmcv.ops, which it serves
