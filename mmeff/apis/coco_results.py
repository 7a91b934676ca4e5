"""Predictions as a COCO file, which `pycocotools.coco.COCO(file)` loads."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from mmengine.structures import InstanceData
from pycocotools import mask as mask_utils

from mmeff.deploy.media import Frame, frames_per_second


class CocoResults:
    """Collects predictions; `content` is the COCO dictionary.

    Ids of images and annotations count from 1; a category's id is its label + 1. Boxes
    are (x, y, width, height) in pixels of the original image, masks are run lengths of
    the original image's size. Frames of a video are images with `video_id` and
    `frame_id`, and the file has a list of `videos`.

    Args:
        classes: Names of the classes, in the order of the labels.
    """

    def __init__(self, classes: Iterable[str]) -> None:
        self.classes: list[str] = []
        self.content = {
            'info': {'description': 'predictions of mmeff'},
            'images': [],
            'annotations': [],
            'categories': [],
        }
        for name in classes:
            self._add_category(name)

    def add(self, frame: Frame, instances: InstanceData) -> None:
        """Add a picture and what was found in it.

        Args:
            frame: The picture.
            instances: On the CPU: `bboxes` (N, 4) x1 y1 x2 y2, `scores` and `labels`
                (N,), and where there are masks: `masks` (N, H, W) bool.
        """
        height, width = frame.image.shape[:2]
        image = {'id': len(self.content['images']) + 1, 'file_name': frame.name}
        image |= {'width': width, 'height': height}
        if frame.source.is_video:
            image |= {'video_id': self._video_id(frame), 'frame_id': frame.index}
        self.content['images'].append(image)
        boxes = instances.bboxes.double().numpy()
        boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        areas = boxes[:, 2] * boxes[:, 3]
        shapes = [{}] * len(boxes)
        if 'masks' in instances:
            masks = np.asarray(instances.masks, np.uint8).transpose(1, 2, 0)
            codes = mask_utils.encode(np.asfortranarray(masks))
            areas = [int(area) for area in mask_utils.area(codes)] if codes else []
            if not boxes.any():  # SOLO and its kin find no boxes of their own
                boxes = np.array([mask_utils.toBbox(code) for code in codes])
            shapes = [
                {'segmentation': code | {'counts': code['counts'].decode('ascii')}}
                for code in codes
            ]
        for box, area, shape, label, score in zip(
            boxes, areas, shapes, instances.labels, instances.scores, strict=True
        ):
            while int(label) >= len(self.classes):
                self._add_category(f'class_{len(self.classes)}')
            annotation = {
                'id': len(self.content['annotations']) + 1,
                'image_id': image['id'],
                'category_id': int(label) + 1,
                'bbox': [round(value, 3) for value in box.tolist()],
                'score': round(float(score), 6),
                'area': round(float(area), 3),
                'iscrowd': 0,
            }
            self.content['annotations'].append(annotation | shape)

    def _add_category(self, name: str) -> None:
        self.classes.append(name)
        self.content['categories'].append({'id': len(self.classes), 'name': name})

    def _video_id(self, frame: Frame) -> int:
        videos = self.content.setdefault('videos', [])
        if frame.index == 0:
            rate = frames_per_second(frame.source.content)
            video = {'id': len(videos) + 1, 'name': frame.source.name, 'fps': rate}
            videos.append(video)
        return videos[-1]['id']


def merge_coco(parts: Sequence[dict], names: Iterable[str]) -> dict:
    """One file's content out of several, each about images of its own.

    Args:
        parts: As in `CocoResults.content`.
        names: Of all pictures and videos, in the order that they are to have.
    """
    found = defaultdict(list)  # images and their annotations, by picture or video
    for part in parts:
        annotations = defaultdict(list)
        for annotation in part['annotations']:
            annotations[annotation['image_id']].append(annotation)
        videos = {video['id']: video for video in part.get('videos', ())}
        for image in part['images']:
            video = videos.get(image.get('video_id'))
            name = image['file_name'] if video is None else video['name']
            found[name].append((image, annotations[image['id']], video))
    # classes without a name are added as they are found, so the longest has them all
    categories = max((part['categories'] for part in parts), key=len)
    merged = {**parts[0], 'images': [], 'annotations': [], 'categories': categories}
    videos = merged['videos'] = []
    for name in names:
        for image, annotations, video in found[name]:
            image = image | {'id': len(merged['images']) + 1}
            if video is not None:
                if image['frame_id'] == 0:
                    videos.append(video | {'id': len(videos) + 1})
                image['video_id'] = len(videos)
            merged['images'].append(image)
            for annotation in annotations:
                ids = {'id': len(merged['annotations']) + 1, 'image_id': image['id']}
                merged['annotations'].append(annotation | ids)
    return merged if videos else {k: v for k, v in merged.items() if k != 'videos'}
