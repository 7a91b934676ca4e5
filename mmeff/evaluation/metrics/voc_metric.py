"""VOC's metric for configs: `type='mmeff.VOCMetric'`."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from mmeff.evaluation.objects import Found, Truth
from mmeff.evaluation.voc import MODES, VocScores, evaluate_voc
from mmeff.registry import METRICS


@METRICS.register_module()
class VOCMetric(BaseMetric):
    """VOC's mAP, with the names of mmdet's VOCMetric and the rules of VOC's own code.

    Results are `mAP`, the mean over thresholds, and `AP50` and the like, rounded to three
    digits. How this differs from mmdet's: docs/metrics.md.

    Args:
        iou_thrs: One or more thresholds of the overlap.
        metric: 'mAP'. For the recall of proposals there is mmeff.CocoMetric.
        eval_mode: '11points' as for VOC2007, or 'area' as for VOC2010 to VOC2012.
        collect_device: 'cpu' or 'gpu', where the results of several processes meet.
        prefix: Of the names; 'pascal_voc' by default.
    """

    default_prefix = 'pascal_voc'

    def __init__(
        self,
        iou_thrs: float | Sequence[float] = 0.5,
        metric: str | Sequence[str] = 'mAP',
        eval_mode: str = '11points',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.iou_thrs = np.atleast_1d(iou_thrs).tolist()
        self.eval_mode = eval_mode
        if metric not in ('mAP', ['mAP'], ('mAP',)):
            raise ValueError(f'metric={metric!r}: VOCMetric knows mAP only')
        if eval_mode not in MODES:
            raise ValueError(f'eval_mode={eval_mode!r}: expected one of {MODES}')
        if not self.iou_thrs or not all(0 < thr <= 1 for thr in self.iou_thrs):
            raise ValueError(f'iou_thrs={iou_thrs}: expected numbers in (0, 1]')

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the boxes of a batch.

        Args:
            data_batch: Not used.
            data_samples: With `pred_instances`, `gt_instances` and `ignored_instances`,
                boxes x1 y1 x2 y2 in pixels of the original image.
        """
        for sample in data_samples:
            kinds = ('gt_instances', 'ignored_instances', 'pred_instances')
            objects, ignored, found = (_arrays(sample[kind]) for kind in kinds)
            scores = sample['pred_instances']['scores'].cpu().numpy()
            self.results.append((objects, ignored, found, scores))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the boxes of all images."""
        objects, ignored, found, scores = zip(*results, strict=True)
        objects, ignored, found = map(_joined, (objects, ignored, found))
        truth = {key: np.concatenate([objects[key], ignored[key]]) for key in objects}
        is_ignored = np.arange(len(truth['label'])) >= len(objects['label'])
        classes = self.dataset_meta['classes']
        values = evaluate_voc(
            Truth(**truth, ignored=is_ignored),
            Found(**found, scores=np.concatenate(scores).astype(float)),
            len(classes),
            self.iou_thrs,
            self.eval_mode,
        )
        logger = MMLogger.get_current_instance()
        for number, threshold in enumerate(self.iou_thrs):
            table = _table(values, number, classes)
            logger.info(f'IoU {threshold:g}, {self.eval_mode}\n{table}')
        means = values.mean_ap().tolist()
        named = {
            f'AP{round(100 * threshold):02d}': round(mean, 3)
            for threshold, mean in zip(self.iou_thrs, means, strict=True)
        }
        return {'mAP': sum(means) / len(means), **named}


def _arrays(instances: dict) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) and labels (N,)."""
    boxes = instances['bboxes']
    boxes = getattr(boxes, 'tensor', boxes).cpu().numpy().reshape(-1, 4)
    return boxes, instances['labels'].cpu().numpy()


def _joined(images: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """The boxes of all images as arguments of `Objects`."""
    boxes, labels = (np.concatenate(part) for part in zip(*images, strict=True))
    boxes = boxes.astype(float)
    boxes[:, 2:] -= boxes[:, :2]
    counts = [len(label) for _, label in images]
    return {
        'image': np.repeat(np.arange(len(images)), counts),
        'label': labels,
        'boxes': boxes,
        'area': boxes[:, 2] * boxes[:, 3],
    }


def _table(values: VocScores, number: int, classes: Sequence[str]) -> str:
    """Text with a line for each class and their mean."""
    lines = [['class', 'objects', 'detections', 'recall', 'AP']]
    for k, name in enumerate(classes):
        shares = (values.recall[number, k], values.ap[number, k])
        counts = (values.num_objects[k], values.num_found[k])
        lines.append([name, *map(str, counts), *(f'{share:.3f}' for share in shares)])
    lines.append(['mean', '', '', '', f'{values.mean_ap()[number]:.3f}'])
    table = AsciiTable(lines)
    table.inner_footing_row_border = True
    return table.table
