"""VGG-16 with its classifier turned into convolutions and thinned out.

https://arxiv.org/abs/1412.7062 (DeepLab), section 3.1; as SSD and RefineDet use it.
"""

from mmdet.models.backbones import SSDVGG
from torch import nn

from mmeff.registry import MODELS

RELUS = (22, 29, 34)  # after conv4_3, conv5_3 and fc7


@MODELS.register_module()
class ReducedVGG(SSDVGG):
    """RefineDet's VGG-16: mmdet's `SSDVGG`, going on to stride 32.

    SSD keeps the stride at 16 after conv5_3 and reads fc6 with a dilation of 6; here
    pool5 halves the map, and the dilation is 3. Keys as of `SSDVGG`, which
    ``init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://vgg16_caffe')`` fills;
    the input is then Caffe's: BGR minus 104, 117, 123.

    Image ``(B, 3, H, W)`` to conv4_3, conv5_3 and fc7: ``(B, 512, H / 8, W / 8)``,
    ``(B, 512, H / 16, W / 16)`` and ``(B, 1024, H / 32, W / 32)``, rounded up.

    Args:
        init_cfg: He-normal by default.
    """

    out_channels = (512, 512, 1024)
    out_strides = (8, 16, 32)

    def __init__(self, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(16, out_feature_indices=RELUS, init_cfg=init_cfg)
        self.features[30] = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.features[31] = nn.Conv2d(512, 1024, 3, padding=3, dilation=3)
