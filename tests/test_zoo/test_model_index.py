"""The model zoo says what configs, tables and result files say, and OpenMMLab finds it."""

import json
import re
from pathlib import Path

import mmengine
import pytest
from mmdet.apis import DetInferencer
from mmengine.hub import get_config

import mmeff
from mmeff.errors import UserError
from mmeff.zoo.collections import COLLECTIONS, collection_of
from mmeff.zoo.index import INDEX, RESULTS, model_index, write_model_index
from mmeff.zoo.page import PAGE

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(f'configs/{path.name}' for path in ROOT.glob('configs/*.py'))
METAFILES = {
    name: mmengine.load(ROOT / name) for name in mmengine.load(ROOT / INDEX)['Import']
}
MODELS = [model for content in METAFILES.values() for model in content['Models']]


def numbers(value, at: str = '') -> dict[str, float]:
    """All numbers of nested content by their place."""
    if isinstance(value, int | float):
        return {at: value}
    items = value.items() if isinstance(value, dict) else enumerate(value or ())
    if isinstance(value, str):
        return {}
    return {
        k: v for key, item in items for k, v in numbers(item, f'{at}/{key}').items()
    }


def test_committed_files_are_what_the_tool_writes():
    texts = model_index(ROOT)
    assert {name: (ROOT / name).read_text('utf-8') for name in texts} == texts
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.glob('configs/*/*.yml')}
    assert found == {*texts} - {INDEX, PAGE}


def test_every_config_is_listed_once():
    assert sorted(model['Config'] for model in MODELS) == CONFIGS
    assert [Path(model['Config']).stem for model in MODELS] == [
        m['Name'] for m in MODELS
    ]


def test_papers_are_those_of_docs_and_code():
    collections = [c for content in METAFILES.values() for c in content['Collections']]
    assert len(collections) == len(METAFILES) == len(COLLECTIONS)
    files = [*ROOT.glob('docs/*.md'), *ROOT.glob('mmeff/**/*.py')]
    text = ' '.join(path.read_text('utf-8') for path in files)
    for collection in collections:
        assert (ROOT / collection['README']).is_file()
        assert collection['Paper']['URL'] in text


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['Name'])
def test_every_number_has_a_file(model):
    metadata = dict(model['Metadata'])
    for of_config in ('Epochs', 'Batch Size'):  # compared below
        del metadata[of_config]
    counted = metadata.pop('Counted', None)
    if counted is not None:
        page = (ROOT / counted['file']).read_text('utf-8')
        (line,) = [  # of the page's table
            line for line in page.splitlines() if f'| `{model["Name"]}.py` |' in line
        ]
        assert f'| {metadata.pop("Parameters"):,} |' in line
        macs = float(re.search(r'\| ([\d.]+)G \|', line)[1])
        assert metadata.pop('MACs (G)') == macs
    for time in metadata.pop('inference time (ms/im)', []):
        result = json.loads((ROOT / time['file']).read_text())
        assert result['config'] == model['Name']
        median = result['metrics'][f'latency_{time["region"]}_ms']['median']
        assert time['value'] == round(median, 2)
    for accuracy in model.get('Results', []):
        result = json.loads((ROOT / accuracy['file']).read_text())
        assert result['config'] == model['Name']
        given = [round(100 * value, 1) for value in numbers(result['metrics']).values()]
        assert set(accuracy['Metrics'].values()) <= set(given)
    assert not numbers(metadata)


@pytest.mark.parametrize('collection', METAFILES)
def test_mmengine_reads_configs_by_the_names_listed(collection):
    for model in METAFILES[collection]['Models']:
        name = model['Config'].removeprefix('configs/')
        cfg = get_config(f'mmeff::{name}')
        assert cfg.filename == mmeff.config_path(name)
        assert model['Metadata']['Epochs'] == cfg.train_cfg.max_epochs
        assert model['Metadata']['Batch Size'] == cfg.auto_scale_lr.base_batch_size


def test_an_inferencer_takes_a_name_and_weights(tmp_path):
    """Weights are given: none are published, and the metafiles say so."""
    import torch

    name = 'ssdlite320_mobilenetv2_coco'
    names = DetInferencer.list_models('mmeff')
    assert sorted(names) == sorted(model['Name'] for model in MODELS)
    inferencer = DetInferencer(name, device='cpu', scope='mmeff')
    torch.save(inferencer.model.state_dict(), tmp_path / 'weights.pth')
    again = DetInferencer(name, str(tmp_path / 'weights.pth'), 'cpu', scope='mmeff')
    for key, value in inferencer.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], value)


def small_clone(folder: Path, config: str = 'vovnet39_retinanet') -> Path:
    """A clone with one detector and an evaluation of it."""
    base = mmeff.config_path(f'{config}.py')
    (folder / 'configs').mkdir()
    (folder / 'configs' / f'{config}.py').write_text(f'_base_ = {base!r}\n')
    result = {
        'schema_version': 3,
        'config': config,
        'checkpoint': 'last.pth',
        'checkpoint_sha256': 'a' * 64,
        'metrics': {'coco/bbox_mAP': 0.4567, 'coco/segm_mAP': 0.4},
    }
    path = folder / RESULTS / 'device' / 'bccd' / 'metrics.json'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result))
    return path


def test_results_get_task_data_set_and_file(tmp_path):
    small_clone(tmp_path)
    index, metafile, page = write_model_index(tmp_path)
    assert index == tmp_path / INDEX
    link = '[box AP 45.7](results/device/bccd/metrics.json)'
    assert f'| BCCD: {link}<br>BCCD: [mask AP 40.0]' in page.read_text('utf-8')
    (model,) = mmengine.load(metafile)['Models']
    file = 'docs/results/device/bccd/metrics.json'
    same = {'Dataset': 'BCCD', 'file': file}
    assert model['Results'] == [
        {'Task': 'Object Detection', 'Metrics': {'box AP': 45.7}, **same},
        {'Task': 'Instance Segmentation', 'Metrics': {'mask AP': 40.0}, **same},
    ]


def test_a_result_of_an_unknown_data_set_is_a_message(tmp_path):
    path = small_clone(tmp_path)
    path.parent.rename(path.parents[1] / 'holiday')
    with pytest.raises(UserError, match=r'holiday/metrics.json: of which data set\?'):
        model_index(tmp_path)


def test_a_folder_that_is_no_clone_is_a_message(tmp_path):
    with pytest.raises(UserError, match='expected a clone of mmeff'):
        model_index(tmp_path)


def test_a_config_without_collection_is_a_message():
    assert collection_of('vovnet-v2-39_maskrcnn').name == 'VoVNetV2'
    assert collection_of('ssdlite320_mobilenetv2_coco').name == 'MobileNetV2'
    assert collection_of('ssdlite320_ghostnet_coco').name == 'GhostNet'
    with pytest.raises(UserError, match=r'yolo\.py belongs to no collection'):
        collection_of('yolo')
