"""An adopted config builds its data sets, and the truth as detections scores 1."""

from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine import Config
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmeff.datasets import adopt
from mmeff.errors import UserError

CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'
MASK_RCNN = 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
SSD_VOC = 'pascal_voc/ssd300_voc0712.py'
YOLOX = 'yolox/yolox_tiny_8xb8-300e_coco.py'
CASCADE = 'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py'
LVIS = 'lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py'


@pytest.fixture(scope='module', autouse=True)
def _mmdet_scope():
    register_all_modules()


def load(name: str) -> Config:
    """A config of mmdet; images are tested small, which changes no true box."""
    cfg = Config.fromfile(CONFIGS / name)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (160, 160)
    return cfg


def truth_as_detections(cfg: Config, split: str) -> dict:
    """Metrics of the split when every true object is detected with score 1."""
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    evaluator = Evaluator(cfg[f'{split}_evaluator'])
    evaluator.dataset_meta = dataset.metainfo
    for number in range(len(dataset)):
        sample = dataset[number]['data_samples']
        truth = sample.gt_instances
        found = InstanceData(
            bboxes=truth.bboxes.tensor,
            labels=truth.labels,
            scores=torch.ones(len(truth.labels)),
        )
        if 'masks' in truth:
            height, width = sample.ori_shape
            found.masks = truth.masks.to_tensor(torch.bool, 'cpu')[:, :height, :width]
        sample.pred_instances = found
        evaluator.process([sample], None)
    return evaluator.evaluate(len(dataset))


def test_coco_with_masks_scores_one_for_the_truth(shapes, tmp_path):
    cfg = load(MASK_RCNN)
    lines = adopt(cfg, shapes, tmp_path)
    assert cfg.model.roi_head.bbox_head.num_classes == 3
    assert cfg.model.roi_head.mask_head.num_classes == 3
    assert 'changed: roi_head.mask_head.num_classes 80 -> 3' in lines
    assert 'test: the same as val' in lines
    metrics = truth_as_detections(cfg, 'val')
    assert metrics['coco/bbox_mAP'] == 1
    assert metrics['coco/segm_mAP'] == 1


def test_voc_scores_one_for_the_truth_in_both_metrics(shapes, tmp_path):
    cfg = load(SSD_VOC)
    lines = adopt(cfg, shapes / 'VOC2007', tmp_path)
    assert cfg.model.bbox_head.num_classes == 3
    assert 'metric: pascal_voc/mAP (IoU 0.5, 11points) and coco/bbox_mAP' in lines
    metrics = truth_as_detections(cfg, 'test')
    assert metrics['pascal_voc/AP50'] == pytest.approx(1, abs=1e-3)
    assert metrics['pascal_voc/mAP'] == pytest.approx(1)
    assert metrics['coco/bbox_mAP'] == 1


def test_difficult_objects_count_in_no_metric(voc, tmp_path):
    for file in (voc / 'Annotations').glob('val_*.xml'):
        text = file.read_text()
        if text.count('<object>') > 1:
            file.write_text(text.replace('<difficult>0', '<difficult>1', 1))
    cfg = load(SSD_VOC)
    adopt(cfg, voc, tmp_path)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    ignored = [len(sample['data_samples'].ignored_instances) for sample in dataset]
    assert sum(ignored) > 0
    metrics = truth_as_detections(cfg, 'val')
    assert metrics['pascal_voc/mAP'] == pytest.approx(1)
    assert metrics['coco/bbox_mAP'] == 1


def test_voc_truth_is_in_the_original_image_for_any_pipeline(shapes, tmp_path):
    cfg = load(SSD_VOC)
    pipeline = cfg.val_dataloader.dataset.pipeline
    pipeline.insert(1, pipeline.pop(2))  # boxes loaded before Resize
    pipeline[1].with_bbox = False
    adopt(cfg, shapes / 'VOC2007', tmp_path)
    assert truth_as_detections(cfg, 'val')['coco/bbox_mAP'] == 1


@pytest.mark.parametrize('config', [MASK_RCNN, CASCADE, LVIS])
def test_mask_branch_goes_where_data_have_boxes_only(config, yolo, tmp_path):
    cfg = load(config)
    lines = adopt(cfg, yolo, tmp_path)
    assert 'changed: mask branch removed, the data have boxes only' in lines
    assert 'masks: no' in lines
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert not model.with_mask
    for split in ('train', 'val'):
        sample = DATASETS.build(cfg[f'{split}_dataloader'].dataset)[0]
        assert 'masks' not in sample['data_samples'].gt_instances
    assert cfg.val_evaluator.metric == ['bbox']


def test_model_that_only_learns_masks_refuses_boxes(yolo, tmp_path):
    cfg = load('rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py')
    with pytest.raises(UserError, match='RTMDet learns masks, but the data'):
        adopt(cfg, yolo, tmp_path)


@pytest.mark.parametrize(
    ('config', 'wrapper', 'length'),
    [
        (SSD_VOC, 'RepeatDataset', 100),
        (YOLOX, 'MultiImageMixDataset', 10),
        (LVIS, 'ClassBalancedDataset', 10),
    ],
)
def test_wrapped_datasets_keep_their_wrapper(config, wrapper, length, shapes, tmp_path):
    cfg = load(config)
    adopt(cfg, shapes, tmp_path)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert type(dataset).__name__ == wrapper
    assert type(dataset.dataset).__name__ == 'CocoDataset'
    assert len(dataset) == length
    assert len(dataset[0]['inputs'].shape) == 3
    assert 'ConcatDataset' not in cfg.pretty_text.split('train_dataloader')[1]


def test_pipeline_and_filter_of_the_config_stay(shapes, tmp_path):
    cfg = load(MASK_RCNN)
    before = cfg.train_dataloader.to_dict()['dataset']
    adopt(cfg, shapes, tmp_path)
    after = cfg.train_dataloader.to_dict()['dataset']
    assert after['pipeline'] == before['pipeline']
    assert after['filter_cfg'] == before['filter_cfg']
    assert Path(after['ann_file']).is_absolute()
    assert len(set(after['metainfo']['palette'])) == 3


def test_adopted_config_survives_a_dump(shapes, tmp_path):
    cfg = load(MASK_RCNN)
    adopt(cfg, shapes, tmp_path)
    cfg.dump(tmp_path / 'dumped.py')
    again = Config.fromfile(tmp_path / 'dumped.py')
    assert again.train_dataloader == cfg.train_dataloader
    assert again.val_evaluator == cfg.val_evaluator


def test_chosen_classes_reach_model_data_and_metric(shapes, tmp_path):
    cfg = load(MASK_RCNN)
    adopt(cfg, shapes, tmp_path, classes=['triangle', 'circle'])
    assert cfg.model.roi_head.bbox_head.num_classes == 2
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert dataset.metainfo['classes'] == ('circle', 'triangle')
    assert truth_as_detections(cfg, 'val')['coco/bbox_mAP'] == 1


def test_rpn_and_backbone_keep_their_class_counts(shapes, tmp_path):
    cfg = load(MASK_RCNN)
    cfg.model.rpn_head.num_classes = 1
    cfg.model.backbone.num_classes = 1000
    cfg.model.roi_head.bbox_head.loss_cls.num_classes = 80
    adopt(cfg, shapes, tmp_path)
    assert cfg.model.rpn_head.num_classes == 1
    assert cfg.model.backbone.num_classes == 1000
    assert cfg.model.roi_head.bbox_head.loss_cls.num_classes == 3


@pytest.mark.parametrize(
    ('data', 'before', 'after'),
    [
        ('.', 'auto', 'coco/bbox_mAP'),
        ('.', 'coco/bbox_mAP_50', 'coco/bbox_mAP_50'),
        ('.', 'pascal_voc/mAP', 'coco/bbox_mAP'),
        ('VOC2007', 'coco/segm_mAP', 'pascal_voc/mAP'),
        ('VOC2007', None, None),
    ],
)
def test_watched_metric_fits_the_data(data, before, after, shapes, tmp_path):
    cfg = load(MASK_RCNN)
    cfg.default_hooks.checkpoint.save_best = before
    cfg.custom_hooks = [{'type': 'EarlyStoppingHook', 'monitor': before}]
    adopt(cfg, shapes / data, tmp_path)
    assert cfg.default_hooks.checkpoint.save_best == after
    assert cfg.custom_hooks[0].monitor == after


def test_without_train_split_training_is_switched_off(coco, tmp_path):
    (coco / 'annotations' / 'instances_train.json').unlink()
    cfg = load(MASK_RCNN)
    lines = adopt(cfg, coco, tmp_path)
    assert 'changed: training switched off, the data have no train split' in lines
    assert cfg.train_dataloader is None
    assert cfg.optim_wrapper is None
    assert truth_as_detections(cfg, 'test')['coco/bbox_mAP'] == 1


def test_images_that_the_config_filters_are_refused(shapes, tmp_path):
    cfg = load(MASK_RCNN)
    cfg.train_dataloader.dataset.filter_cfg.min_size = 200
    with pytest.raises(UserError, match='from 200 px on'):
        adopt(cfg, shapes, tmp_path)


def test_shapes_are_made_on_request(tmp_path):
    cfg = load(MASK_RCNN)
    lines = adopt(cfg, 'shapes', tmp_path / 'work', data_root=tmp_path / 'data')
    assert lines[0] == f'data: {tmp_path / "data" / "shapes"} (COCO)'
    assert lines[1].startswith('train: 800 images, ')
    assert lines[2].startswith('val: 200 images, ')
    assert (tmp_path / 'data' / 'shapes' / 'shapes.json').is_file()


def test_long_class_lists_are_shortened(real_data, tmp_path):
    lines = adopt(load(MASK_RCNN), real_data / 'coco128', tmp_path)
    (line,) = [line for line in lines if line.startswith('classes (80)')]
    assert line.endswith('boat, traffic light, fire hydrant, stop sign, ...')


def test_real_coco_truth_scores_one(real_data, tmp_path):
    cfg = load(MASK_RCNN)
    adopt(cfg, real_data / 'coco128', tmp_path)
    metrics = truth_as_detections(cfg, 'val')
    assert metrics['coco/bbox_mAP'] == 1
    assert metrics['coco/segm_mAP'] == 1


def test_real_voc_boxes_are_those_of_xml_dataset(real_data, tmp_path):
    cfg = load(SSD_VOC)
    adopt(cfg, real_data / 'bccd', tmp_path)
    ours = DATASETS.build(cfg.test_dataloader.dataset)
    theirs = DATASETS.build(
        {
            'type': 'XMLDataset',
            'metainfo': {'classes': ours.metainfo['classes']},
            'data_root': str(real_data / 'bccd'),
            'ann_file': 'VOC2007/ImageSets/Main/test.txt',
            'data_prefix': {'sub_data_root': 'VOC2007/'},
            'test_mode': True,
        }
    )
    assert len(ours) == len(theirs) == 72
    for number in range(len(ours)):
        mine, other = (
            [
                (i['bbox_label'], *i['bbox'])
                for i in d.get_data_info(number)['instances']
            ]
            for d in (ours, theirs)
        )
        assert mine == other
    metrics = truth_as_detections(cfg, 'test')
    assert metrics['pascal_voc/mAP'] == pytest.approx(1)
    assert metrics['coco/bbox_mAP'] == 1
