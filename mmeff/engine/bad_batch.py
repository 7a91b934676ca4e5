"""Write a batch of training as plain arrays, to be looked at later."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.fileio import put

META = ('img_path', 'img_id', 'ori_shape', 'img_shape', 'scale_factor', 'flip')


def save_batch(path: Path, data_batch: Mapping, **facts) -> None:
    """Write images and annotations as the network was to see them.

    Args:
        path: An .npz file, whole or not there. For image i of the batch it has
            ``image_i`` (C, H, W), BGR or RGB as loaded and before normalisation,
            ``bboxes_i`` (n, 4) in pixels of it, ``labels_i`` (n,), and ``masks_i``
            (n, H, W) where there are any; `meta` is JSON text with `facts` and, under
            `images`, where each image comes from. It holds no objects, so that
            `numpy.load` needs no `allow_pickle`.
        data_batch: What the DataLoader gave: `inputs`, `data_samples`.
        facts: Of the batch, such as its iteration.

    Raises:
        OSError: The file cannot be written.
    """
    samples = data_batch['data_samples']
    arrays = {}
    for i, (image, sample) in enumerate(
        zip(data_batch['inputs'], samples, strict=True)
    ):
        arrays[f'image_{i}'] = _array(image)
        objects = sample.gt_instances
        boxes = objects.bboxes
        arrays[f'bboxes_{i}'] = _array(getattr(boxes, 'tensor', boxes))
        arrays[f'labels_{i}'] = _array(objects.labels)
        if 'masks' in objects:
            arrays[f'masks_{i}'] = objects.masks.to_ndarray()
    images = [{key: sample.get(key) for key in META} for sample in samples]
    meta = json.dumps({**facts, 'images': images}, default=str)
    stream = io.BytesIO()
    np.savez_compressed(stream, meta=np.array(meta), **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    put(stream.getvalue(), str(path))


def _array(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
