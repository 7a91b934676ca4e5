"""Objects and detections from annotations and results in COCO's form."""

from collections.abc import Callable, Sequence

import numpy as np

from mmeff.evaluation.objects import Found, Truth


def numbered(ids: Sequence) -> dict:
    """Each id with its place among the sorted ids, COCO's order of images and classes."""
    return {name: number for number, name in enumerate(sorted(set(ids)))}


def truth_from_coco(
    annotations: Sequence[dict],
    images: dict,
    labels: dict,
    to_mask: Callable[[dict], dict] | None = None,
) -> Truth:
    """Objects of the given images and classes.

    Args:
        annotations: COCO's. Where 'area' is missing, that of the box is taken.
        images: Number of each image id, of `numbered`.
        labels: Number of each category id.
        to_mask: Gives the run lengths of an annotation; no masks without it.
    """
    chosen = [
        ann
        for ann in annotations
        if ann['image_id'] in images and ann['category_id'] in labels
    ]
    boxes = np.array([ann['bbox'] for ann in chosen], float).reshape(-1, 4)
    area = [
        ann.get('area', width * height)
        for ann, (_, _, width, height) in zip(chosen, boxes, strict=True)
    ]
    return Truth(
        image=np.array([images[ann['image_id']] for ann in chosen], int),
        label=np.array([labels[ann['category_id']] for ann in chosen], int),
        boxes=boxes,
        area=np.array(area, float),
        masks=None if to_mask is None else as_array([to_mask(ann) for ann in chosen]),
        ignored=np.array([ann.get('iscrowd', 0) for ann in chosen]).astype(bool),
    )


def found_from_coco(results: Sequence[dict], images: dict, labels: dict) -> Found:
    """Boxes of a list of results; other images and classes are left out.

    Args:
        results: With image_id, category_id, bbox (x, y, width, height) and score.
        images: Number of each image id, of `numbered`.
        labels: Number of each category id.
    """
    chosen = [
        result
        for result in results
        if result['image_id'] in images and result['category_id'] in labels
    ]
    boxes = np.array([result['bbox'] for result in chosen], float).reshape(-1, 4)
    return Found(
        image=np.array([images[result['image_id']] for result in chosen], int),
        label=np.array([labels[result['category_id']] for result in chosen], int),
        boxes=boxes,
        area=boxes[:, 2] * boxes[:, 3],
        scores=np.array([result['score'] for result in chosen], float),
    )


def as_array(masks: Sequence[dict]) -> np.ndarray:
    """(N,) object array of run lengths."""
    array = np.empty(len(masks), object)
    array[:] = masks
    return array
