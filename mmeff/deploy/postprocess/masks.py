"""Masks of detections in the image, on a CPU.

mmdet samples each mask at every pixel under its box. Bilinear interpolation acts on rows
and columns separately, so the pixels are a product of three small matrices: weights of
rows, mask, weights of columns. Only the channel of the detected class is squashed.
Sums run in another order, which can turn a pixel at the threshold itself.
"""

import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmengine.config import ConfigDict
from torch import Tensor


def predict_by_feat_single(
    self: FCNMaskHead,
    mask_preds: Tensor,
    bboxes: Tensor,
    labels: Tensor,
    img_meta: dict,
    rcnn_test_cfg: ConfigDict,
    rescale: bool = False,
    activate_map: bool = False,
) -> Tensor:
    """In place of `FCNMaskHead._predict_by_feat_single`.

    Args:
        self: The head.
        mask_preds: Logits (N, classes, h, w), or (N, 1, h, w) for all classes.
        bboxes: (N, 4), changed in place to the original image's pixels if `rescale`.
        labels: (N,).
        img_meta: With `ori_shape` and `scale_factor`.
        rcnn_test_cfg: With `mask_thr_binary`; below 0, as other devices, left to mmdet.
        rescale: Masks of the original image.
        activate_map: `mask_preds` are probabilities already.

    Returns:
        (N, H, W), bool.
    """
    threshold = rcnn_test_cfg.mask_thr_binary
    if bboxes.device.type != 'cpu' or threshold < 0:
        return type(self)._predict_by_feat_single(
            self,
            mask_preds,
            bboxes,
            labels,
            img_meta,
            rcnn_test_cfg,
            rescale,
            activate_map,
        )
    mask_preds = torch.as_tensor(mask_preds)
    channels = torch.zeros_like(labels) if self.class_agnostic else labels
    masks = mask_preds[torch.arange(len(labels)), channels].float()
    if not activate_map:
        masks = masks.sigmoid()
    height, width = img_meta['ori_shape'][:2]
    scale = bboxes.new_tensor(img_meta['scale_factor'])
    if rescale:
        bboxes /= scale.repeat(2)
    else:
        width, height = np.round(np.multiply(scale.tolist(), (width, height))).astype(
            int
        )
    # numpy asks for zeros that are not written until they are touched
    pasted = torch.from_numpy(np.zeros((len(masks), height, width), bool))
    for image, mask, box in zip(pasted, masks, bboxes.tolist(), strict=True):
        _paste(image, mask, box, threshold)
    return pasted


def _paste(
    image: Tensor, mask: Tensor, box: tuple[float, ...], threshold: float
) -> None:
    """Set the pixels of `image` (H, W), bool, at which `mask` (h, w) in `box` is set."""
    columns, across = _weights(box[0], box[2], image.shape[1], mask.shape[1])
    rows, down = _weights(box[1], box[3], image.shape[0], mask.shape[0])
    torch.ge(down @ mask @ across.T, threshold, out=image[rows, columns])


def _weights(low: float, high: float, limit: int, size: int) -> tuple[slice, Tensor]:
    """Pixels from `low` to `high`, and what each takes of the mask, (pixels, size).

    As in mmdet all pixels see the middle of the mask if the box has no size.
    """
    pixels = slice(max(int(np.floor(low)) - 1, 0), min(int(np.ceil(high)) + 1, limit))
    centres = np.arange(pixels.start, pixels.stop, dtype=np.float32) + np.float32(0.5)
    with np.errstate(divide='ignore', invalid='ignore'):
        place = (centres - np.float32(low)) / (
            np.float32(high) - np.float32(low)
        ) * 2 - 1
    place[np.isinf(place)] = 0
    place = ((place + 1) * size - 1) / 2
    distance = np.abs(place[:, None] - np.arange(size, dtype=np.float32))
    return pixels, torch.from_numpy(np.maximum(1 - distance, 0))
