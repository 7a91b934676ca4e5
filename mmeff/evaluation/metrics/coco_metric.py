"""COCO's metric for configs: `type='mmeff.CocoMetric'`."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout

import mmdet.evaluation
import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from mmeff.errors import UserError
from mmeff.evaluation.coco import CocoScores, evaluate
from mmeff.evaluation.from_coco import as_array, numbered, truth_from_coco
from mmeff.evaluation.masks import mask_areas, mask_iou
from mmeff.evaluation.objects import Found, Truth
from mmeff.evaluation.pairs import box_iou
from mmeff.evaluation.recall import proposal_recalls
from mmeff.registry import METRICS

# Place of each name in `CocoScores.stats`; mmdet's names, whatever `proposal_nums` is.
ITEMS = {
    'mAP': 0,
    'mAP_50': 1,
    'mAP_75': 2,
    'mAP_s': 3,
    'mAP_m': 4,
    'mAP_l': 5,
    'AR@100': 6,
    'AR@300': 7,
    'AR@1000': 8,
    'AR_s@1000': 9,
    'AR_m@1000': 10,
    'AR_l@1000': 11,
}


@METRICS.register_module()
class CocoMetric(mmdet.evaluation.CocoMetric):
    """mmdet's CocoMetric, many times faster: same arguments, names and numbers.

    Results do not travel through a file unless `outfile_prefix` asks for one, nothing is
    printed, and no detections at all are an AP of 0, where mmdet returns no metrics. The
    differences are listed in docs/metrics.md.

    Args:
        ann_file: COCO file; without it the ground truth comes from the data samples.
        metric: One or more of 'bbox', 'segm', 'proposal' and 'proposal_fast'.
        classwise: Also the AP of each class, as `<class>_precision`.
        proposal_nums: Three limits of detections for each image and class.
        iou_thrs: One or more thresholds of the overlap; 0.5 to 0.95 when None.
        metric_items: Which numbers to return; six by default.
        use_mp_eval: Accepted, and needless.
        **kwargs: As for mmdet's: format_only, outfile_prefix, backend_args,
            collect_device, prefix, sort_categories.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | list[str] = 'bbox',
        classwise: bool = False,
        proposal_nums: Sequence[int] = (100, 300, 1000),
        iou_thrs: float | Sequence[float] | None = None,
        metric_items: Sequence[str] | None = None,
        use_mp_eval: bool = False,
        **kwargs,
    ) -> None:
        if len(proposal_nums) != 3:
            raise ValueError(f'proposal_nums={proposal_nums}: expected three limits')
        unknown = sorted(set(metric_items or ()) - set(ITEMS))
        if unknown:
            raise ValueError(f'metric_items: {unknown} not in {list(ITEMS)}')
        with redirect_stdout(io.StringIO()):  # pycocotools tells that it reads a file
            super().__init__(
                ann_file,
                list(metric) if isinstance(metric, list | tuple) else metric,
                classwise,
                proposal_nums,
                None if iou_thrs is None else np.atleast_1d(iou_thrs),
                metric_items,
                use_mp_eval=use_mp_eval,
                **kwargs,
            )
        self._truths: dict[str, Truth] = {}

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the results of all images."""
        samples, found = zip(*results, strict=True)
        if self._coco_api is None:
            self._coco_api = _coco_of_samples(samples, self.dataset_meta['classes'])
        if self.cat_ids is None:
            classes = self.dataset_meta['classes']
            self.cat_ids = self._coco_api.get_cat_ids(cat_names=classes)
            self.img_ids = self._coco_api.get_img_ids()
        if self.outfile_prefix is not None:
            self.results2json(found, self.outfile_prefix)
        if self.format_only:
            return {}
        metrics = {}
        for metric in self.metrics:
            if metric == 'proposal_fast':
                metrics |= self._fast_recalls(found)
            elif metric == 'proposal':
                values = self._evaluate(found, 'bbox', by_class=False)
                metrics |= self._chosen(values, list(ITEMS)[6:], '')
            else:
                values = self._evaluate(found, metric)
                metrics |= self._classwise(values) if self.classwise else {}
                metrics |= self._chosen(values, list(ITEMS)[:6], f'{metric}_')
                numbers = ' '.join(f'{value:.3f}' for value in values.stats()[:6])
                logger = MMLogger.get_current_instance()
                logger.info(f'{metric}_mAP_copypaste: {numbers}')
        return metrics

    def _evaluate(
        self, results: Sequence[dict], kind: str, by_class: bool = True
    ) -> CocoScores:
        """Compare boxes ('bbox') or masks ('segm')."""
        labels = numbered(self.cat_ids)
        images = numbered(self.img_ids)
        order = np.array([labels[cat_id] for cat_id in self.cat_ids], int)
        found = _found(results, images, order, kind == 'segm')
        if kind not in self._truths:
            self._truths[kind] = self._truth(kind, images, labels)
        overlap = mask_iou if kind == 'segm' else box_iou
        return evaluate(
            self._truths[kind],
            found,
            len(labels),
            self.iou_thrs,
            self.proposal_nums,
            overlap,
            by_class,
        )

    def _truth(self, kind: str, images: dict, labels: dict) -> Truth:
        annotations = self._coco_api.dataset.get('annotations', [])
        if kind == 'bbox':
            return truth_from_coco(annotations, images, labels)
        bare = sum('segmentation' not in annotation for annotation in annotations)
        if bare:
            raise UserError(
                f"metric 'segm': {bare} of {len(annotations)} annotations have no mask "
                "('segmentation'); expected 'bbox' only, or an annotation file with masks"
            )
        return truth_from_coco(annotations, images, labels, self._coco_api.annToRLE)

    def _chosen(self, values: CocoScores, default: list[str], prefix: str) -> dict:
        """The numbers asked for, with three digits as mmdet gives them."""
        stats = values.stats()
        return {
            f'{prefix}{name}': float(np.round(stats[ITEMS[name]], 3))
            for name in self.metric_items or default
        }

    def _classwise(self, values: CocoScores) -> dict[str, float]:
        """AP of each class; their table goes to the log."""
        lines = [['category', 'mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l']]
        metrics = {}
        for label, cat_id in enumerate(sorted(set(self.cat_ids))):
            name = self._coco_api.cats[cat_id]['name']
            numbers = [values.ap(label=label)]
            numbers += [values.ap(threshold, label=label) for threshold in (0.5, 0.75)]
            numbers += [
                values.ap(area=area, label=label)
                for area in ('small', 'medium', 'large')
            ]
            numbers = [np.nan if number == -1 else number for number in numbers]
            lines.append([name, *(f'{number:.3f}' for number in numbers)])
            metrics[f'{name}_precision'] = float(np.round(numbers[0], 3))
        MMLogger.get_current_instance().info(f'\n{AsciiTable(lines).table}')
        return metrics

    def _fast_recalls(self, results: Sequence[dict]) -> dict[str, float]:
        """Average recall of proposals in the order the model gives them."""
        truth = [
            np.array(
                [
                    ann['bbox']
                    for ann in self._coco_api.imgToAnns.get(result['img_id'], [])
                    if not (ann.get('ignore') or ann.get('iscrowd'))
                ],
                float,
            ).reshape(-1, 4)
            for result in results
        ]
        for boxes in truth:
            boxes[:, 2:] += boxes[:, :2]
        boxes = [result['bboxes'] for result in results]
        recalls = proposal_recalls(truth, boxes, self.proposal_nums, self.iou_thrs)
        means = recalls.mean(1).tolist()
        return {
            f'AR@{limit}': mean
            for limit, mean in zip(self.proposal_nums, means, strict=True)
        }


def _found(
    results: Sequence[dict], images: dict, labels: np.ndarray, with_masks: bool
) -> Found:
    """Results of all images as arrays.

    Args:
        results: Of mmdet's `process`.
        images: Number of each image id.
        labels: (K,) number of the class for each label of the model.
        with_masks: Whether masks, their areas and their scores are taken.

    Raises:
        UserError: Results do not fit the annotation file.
    """
    strange = [r['img_id'] for r in results if r['img_id'] not in images]
    if strange:
        raise UserError(
            f'{len(strange)} images with results are not in the annotation file of the '
            f'CocoMetric, for example id {strange[0]}; expected that of the data loader'
        )
    if with_masks and not all('masks' in result for result in results):
        raise UserError("metric 'segm': the model finds no masks; expected 'bbox' only")
    given = np.concatenate([result['labels'] for result in results]).astype(int)
    if len(given) and given.max() >= len(labels):
        raise UserError(
            f'label {given.max()} was found, but only {len(labels)} of the classes are '
            'in the annotation file of the CocoMetric'
        )
    scores = [
        result.get('mask_scores', result['scores']) if with_masks else result['scores']
        for result in results
    ]
    boxes = np.concatenate([r['bboxes'].reshape(-1, 4) for r in results]).astype(float)
    boxes[:, 2:] -= boxes[:, :2]
    masks = None
    if with_masks:
        masks = as_array([mask for result in results for mask in result['masks']])
    counts = [len(result['labels']) for result in results]
    return Found(
        image=np.repeat([images[result['img_id']] for result in results], counts),
        label=labels[given],
        boxes=boxes,
        area=mask_areas(masks) if with_masks else boxes[:, 2] * boxes[:, 3],
        masks=masks,
        scores=np.concatenate(scores).astype(float),
    )


def _coco_of_samples(samples: Sequence[dict], classes: Sequence[str]) -> COCO:
    """The ground truth that came with the data samples; boxes' areas, as in mmdet."""
    annotations = []
    for sample in samples:
        for instance in sample['anns']:
            x1, y1, x2, y2 = map(float, instance['bbox'])
            annotation = {
                'id': len(annotations) + 1,
                'image_id': sample['img_id'],
                'category_id': int(instance['bbox_label']),
                'bbox': [x1, y1, x2 - x1, y2 - y1],
                'area': (x2 - x1) * (y2 - y1),
                'iscrowd': int(instance.get('ignore_flag', 0)),
            }
            if instance.get('mask'):
                annotation['segmentation'] = instance['mask']
            annotations.append(annotation)
    coco = COCO()
    coco.dataset = {
        'images': [
            {
                'id': sample['img_id'],
                'width': sample['width'],
                'height': sample['height'],
            }
            for sample in samples
        ],
        'annotations': annotations,
        'categories': [{'id': k, 'name': name} for k, name in enumerate(classes)],
    }
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
    return coco
