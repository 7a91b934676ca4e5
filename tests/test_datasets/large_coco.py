"""Write a COCO file as large as COCO itself, and measure how a data set reads it.

    python tests/test_datasets/large_coco.py write large.json
    python tests/test_datasets/large_coco.py read large.json mmeff.CocoDataset
    python tests/test_datasets/large_coco.py read large.json mmdet.CocoDataset

The file has 118,000 images and 860,000 boxes with polygons of 3 to 5 points. `read`
prints one line of JSON: seconds, and the peak of memory in MB with and without the imports.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

NUM_IMAGES, NUM_BOXES, NUM_CLASSES = 118_000, 860_000, 80
SIDE = 640


def write(file: Path, num_images: int = NUM_IMAGES, num_boxes: int = NUM_BOXES) -> None:
    """Write the file; the same numbers give the same file."""
    rng = np.random.default_rng(0)
    image_ids = rng.integers(1, num_images + 1, num_boxes)
    labels = rng.integers(1, NUM_CLASSES + 1, num_boxes)
    corners = rng.uniform(0, SIDE - 100, (num_boxes, 2)).round(2)
    sides = rng.uniform(2, 100, (num_boxes, 2)).round(2)
    num_points = rng.integers(3, 6, num_boxes)
    points = rng.uniform(0, 1, (num_boxes, 5, 2))
    with open(file, 'w') as stream:
        stream.write('{"info": {}, "licenses": [], "images": [')
        for number in range(1, num_images + 1):
            image = {'id': number, 'file_name': f'{number:012d}.jpg'}
            image |= {'width': SIDE, 'height': SIDE - number % 200, 'license': 1}
            stream.write(', ' * (number > 1) + json.dumps(image))
        stream.write('], "annotations": [')
        for i in range(num_boxes):
            polygon = (points[i, : num_points[i]] * sides[i] + corners[i]).round(2)
            annotation = {
                'id': i + 1,
                'image_id': int(image_ids[i]),
                'category_id': int(labels[i]),
                'bbox': [*corners[i].tolist(), *sides[i].tolist()],
                'area': round(float(sides[i].prod()) / 2, 4),
                'iscrowd': 0,
                'segmentation': [polygon.ravel().tolist()],
            }
            stream.write(', ' * (i > 0) + json.dumps(annotation))
        categories = [{'id': n, 'name': f'c{n}'} for n in range(1, NUM_CLASSES + 1)]
        stream.write(f'], "categories": {json.dumps(categories)}}}')


def read(file: Path, kind: str) -> dict:
    """Seconds and MB that the data set class `kind` takes for the file."""
    from mmdet.registry import DATASETS

    import mmeff  # noqa: F401

    dataset_class = DATASETS.get(kind)
    before = peak_mb()
    start, cpu_start = time.perf_counter(), time.process_time()
    classes = tuple(f'c{n}' for n in range(1, NUM_CLASSES + 1))
    dataset = dataset_class(
        ann_file=str(file),
        data_prefix={'img': 'train/'},
        metainfo={'classes': classes},
        filter_cfg={'filter_empty_gt': True, 'min_size': 32},
        pipeline=[],
    )
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return {
        'kind': kind,
        'images': len(dataset),
        'seconds': round(seconds, 2),
        'cpu_seconds': round(cpu_seconds, 2),
        'added_mb': round(peak_mb() - before),
        'peak_mb': round(peak_mb()),
    }


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == '__main__':
    if sys.argv[1] == 'write':
        write(Path(sys.argv[2]))
    else:
        print(json.dumps(read(Path(sys.argv[2]), sys.argv[3])))
