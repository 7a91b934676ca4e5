"""The check counts what is there, and the repaired copy has no defect left."""

import json
import shutil
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from PIL import Image

from mmeff import cli
from mmeff.apis.check_data import check_data
from mmeff.datasets import read_folder
from mmeff.datasets.check import check_folder
from mmeff.datasets.findings import escape
from mmeff.datasets.repair import repair
from mmeff.errors import UserError

from bad_inputs import BAD_INPUTS

TOOL = Path(__file__).parents[2] / 'tools' / 'check_data.py'


@pytest.fixture
def check_tool(capsys):
    """check_tool(*arguments) -> (exit status, stdout, stderr)."""
    loader = SourceFileLoader('check_data', str(TOOL))
    module = module_from_spec(spec_from_loader('check_data', loader))
    loader.exec_module(module)

    def call(*arguments):
        try:
            status = cli.run(module.main, [str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return call


def contents(root: Path) -> dict:
    return {file: file.read_bytes() for file in root.rglob('*') if file.is_file()}


@pytest.mark.parametrize('layout', ['coco', 'voc', 'yolo'])
def test_good_data_have_no_defects(layout, request):
    root = request.getfixturevalue(layout)
    check = check_folder(root)
    assert not check.totals
    assert check.splits['train']['images'] == 10
    assert check.splits['val']['images'] == 5
    assert {row.name for row in check.classes} == {'circle', 'rectangle', 'triangle'}


def test_counts_are_those_of_the_files(coco, edit):
    check = check_folder(coco)
    annotations = edit(coco / 'annotations' / 'instances_train.json')['annotations']
    circles = [a for a in annotations if a['category_id'] == 1]
    row = check.classes[0]
    assert row.name == 'circle'
    assert row.boxes_by_split['train'] == len(circles)
    assert check.splits['train']['boxes'] == len(annotations)
    assert len(check.boxes) == sum(counts['boxes'] for counts in check.splits.values())


def test_median_size_and_images_of_a_class(coco, edit):
    for split in ('train', 'val'):
        file = coco / 'annotations' / f'instances_{split}.json'
        content = edit(file)
        for annotation in content['annotations']:
            annotation['category_id'] = 2
            annotation['bbox'][2:] = [4, 9]
        content['annotations'][0] |= {'bbox': [1, 1, 10, 40], 'category_id': 1}
        content['annotations'] = content['annotations'][:4]
        edit(file, content)
    circle, rectangle, triangle = check_folder(coco).classes
    assert (circle.num_images, circle.num_boxes) == (2, 2)
    assert circle.median_size_px == pytest.approx(20)
    assert rectangle.median_size_px == 6
    assert (triangle.num_boxes, triangle.median_size_px) == (0, None)


def test_images_without_objects_are_counted_and_no_defect(coco, edit):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] > 2]
    edit(file, content)
    check = check_folder(coco)
    assert check.splits['train']['images_without_objects'] == 2
    assert not check.totals


def test_all_defects_are_counted_and_a_thousand_listed(coco, edit):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    bad = {**content['annotations'][0], 'bbox': [1, 1, 0, 5]}
    content['annotations'] += [{**bad, 'id': 1000 + n} for n in range(1500)]
    edit(file, content)
    check = check_folder(coco)
    assert check.totals['box without area'] == 1500
    listed = [d for d in check.defects if d.kind == 'box without area']
    assert len(listed) == 1000
    assert listed[7].place == 'annotation 1007'


def test_names_in_any_script_are_accepted_and_shown_on_one_line(coco, edit, check_tool):
    names = [
        'quote"\'.jpg',
        'line\nbreak.jpg',
        '\u732b \u202e.jpg',
        '\x1b[31m.jpg',
        '%s {}.jpg',
    ]
    for split in ('train', 'val'):
        file = coco / 'annotations' / f'instances_{split}.json'
        content = edit(file)
        for image, name in zip(content['images'], names, strict=False):
            (coco / split / image['file_name']).rename(coco / split / f'{split}{name}')
            image['file_name'] = f'{split}{name}'
        for category, name in zip(content['categories'], names, strict=False):
            category['name'] = name
        edit(file, content)
    assert not check_folder(coco).totals
    assert read_folder(coco, coco / 'cache').classes == tuple(names[:3])
    (coco / 'train' / f'train{names[1]}').unlink()
    status, out, _ = check_tool(coco)
    assert status == 1
    assert 'trainline\\nbreak.jpg does not exist' in out
    assert '\\u202e' in out
    assert '\u202e' not in out


def test_escape_keeps_what_can_be_printed():
    assert escape('\u732b \u00e4') == '\u732b \u00e4'
    assert escape('a\x1b\n\ud800') == 'a\\x1b\\n\\ud800'


def test_damage_in_the_middle_is_found_by_decoding(coco):
    file = coco / 'train' / 'train_000002.jpg'
    image = Image.effect_noise((128, 96), 90)
    image.save(coco / 'a.png')
    data = bytearray((coco / 'a.png').read_bytes())
    (coco / 'a.png').unlink()
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    file.write_bytes(data)
    assert not check_folder(coco).totals
    assert check_folder(coco, decode=True).totals == {'unreadable image': 1}


def test_data_behind_the_end_of_an_image_are_no_defect(coco):
    with open(coco / 'train' / 'train_000002.jpg', 'ab') as file:
        file.write(bytes(3000))
    with open(coco / 'train' / 'train_000003.jpg', 'ab') as file:
        file.write(bytes(9000))
    assert not check_folder(coco).totals


def test_same_name_with_another_content_is_a_note(coco, edit):
    file = coco / 'annotations' / 'instances_val.json'
    content = edit(file)
    (coco / 'val' / content['images'][0]['file_name']).rename(
        coco / 'val' / 'train_000000.jpg'
    )
    content['images'][0]['file_name'] = 'train_000000.jpg'
    edit(file, content)
    check = check_folder(coco)
    assert not check.totals
    assert check.notes == ['1 file names are in two splits, with another content']


# --------------------------------------------------------------------------- the repair


# The one file that tells where the data are, or all that it names, cannot be used.
NOTHING_LEFT = {
    'list leads out',
    'list of missing images',
    'no text files',
    'train the whole disk',
    *(row.name for row in BAD_INPUTS if row.name.startswith('yaml ')),
}


@pytest.mark.parametrize(
    'row',
    [row for row in BAD_INPUTS if row.kind],
    ids=lambda row: f'{row.layout}: {row.name}',
)
def test_repaired_copy_has_no_defects(row, request, tmp_path):
    root = request.getfixturevalue(row.layout)
    row.damage(root)
    before = contents(root) if 'GiB' not in row.name else {}
    check, copy = check_folder(root), tmp_path / 'copy'
    if row.name in NOTHING_LEFT:
        with pytest.raises(UserError, match='no object is left'):
            repair(check, copy)
        assert not copy.exists()
        return
    changes = repair(check, copy)
    assert any(line.startswith(f'{row.kind} (') for line in changes)
    assert not check_folder(copy).totals
    if before:
        assert contents(root) == before


def test_repair_keeps_what_is_good(coco, edit, tmp_path):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    content['annotations'][0]['bbox'] = [120, 90, 20, 20]
    content['annotations'][1]['segmentation'] = [[5, 5, 500, 5, 50, 50], [1, 1]]
    content['annotations'][2]['id'] = '3'
    edit(file, content)
    repair(check_folder(coco), tmp_path / 'copy')
    mended = edit(tmp_path / 'copy' / 'annotations' / 'instances_train.json')
    assert mended['annotations'][0]['bbox'] == [120, 90, 8, 6]
    assert mended['annotations'][1]['segmentation'] == [[5, 5, 128, 5, 50, 50]]
    assert mended['annotations'][2]['id'] == 3
    assert mended['annotations'][3:] == content['annotations'][3:]
    assert [i['file_name'] for i in mended['images']] == [
        i['file_name'] for i in content['images']
    ]
    val = edit(tmp_path / 'copy' / 'annotations' / 'instances_val.json')
    good = edit(coco / 'annotations' / 'instances_val.json')
    assert val['annotations'] == good['annotations']
    assert val['images'] == good['images']


def test_image_in_two_splits_stays_in_val(coco, tmp_path):
    shutil.copy(coco / 'train' / 'train_000000.jpg', coco / 'val' / 'val_000000.jpg')
    repair(check_folder(coco), tmp_path / 'copy')
    check = check_folder(tmp_path / 'copy')
    assert check.splits['train']['images'] == 9
    assert check.splits['val']['images'] == 5


@pytest.mark.parametrize('where', ['copy', 'a/../../copy'])
def test_copy_must_not_lie_in_the_original(coco, where):
    before = contents(coco)
    with pytest.raises(UserError, match='is not to be changed') as error:
        repair(check_folder(coco), coco / where.replace('a/../..', '.'))
    assert str(coco) in str(error.value)
    assert contents(coco) == before


def test_nothing_is_overwritten(coco, tmp_path):
    (tmp_path / 'copy').mkdir()
    (tmp_path / 'copy' / 'mine.txt').write_text('mine')
    with pytest.raises(UserError, match='nothing is overwritten'):
        repair(check_folder(coco), tmp_path / 'copy')
    assert contents(tmp_path / 'copy') == {tmp_path / 'copy' / 'mine.txt': b'mine'}


# ----------------------------------------------------------------------------- the tool


def test_tool_writes_report_figures_and_copy(coco, tmp_path, check_tool):
    (coco / 'train' / 'train_000002.jpg').write_bytes(b'')
    status, out, err = check_tool(
        coco,
        *('--json', tmp_path / 'report.json', '--out', tmp_path / 'figures'),
        *('--fix', tmp_path / 'copy'),
    )
    assert (status, err) == (0, '')
    assert 'unreadable image: 1' in out
    assert 'changed: unreadable image (1): left out with their objects' in out
    assert 'the copy has 0 defects' in out
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['totals'] == {'unreadable image': 1}
    assert report['defects'][0]['reason'] == 'empty file'
    for name in ('box_sizes', 'aspect_ratios'):
        with Image.open(tmp_path / 'figures' / f'{name}.png') as image:
            assert image.size == (768, 480)


def test_exit_status(coco, check_tool):
    status, out, err = check_tool(coco)
    assert (status, err) == (0, '')
    assert '0 defects' in out
    (coco / 'train' / 'train_000002.jpg').unlink()
    assert check_tool(coco)[0] == 1
    status, out, err = check_tool(coco / 'nowhere')
    assert (status, out) == (2, '')
    assert err.startswith('error: ')


def test_chosen_classes(coco, check_tool):
    out = check_tool(coco, '--classes', 'circle')[1]
    assert '  circle' in out
    assert 'triangle' not in out
    status, _, err = check_tool(coco, '--classes', 'cat')
    assert status == 2
    assert "no class 'cat'; it has circle, rectangle, triangle" in err


def test_outputs_that_cannot_be_written(coco, tmp_path):
    (tmp_path / 'file').write_text('')
    for option in ('json_file', 'out', 'fix'):
        with pytest.raises(UserError, match='file'):
            check_data(coco, **{option: tmp_path / 'file' / 'new'})


def test_real_data(real_data, tmp_path):
    check = check_folder(real_data / 'bccd')
    assert check.totals == {'box without area': 2}
    assert [row.num_boxes for row in check.classes] == [361, 4153, 372]
    check = check_folder(real_data / 'coco128')
    assert check.totals == {'unused category': 4}
    repair(check, tmp_path / 'copy')
    assert not check_folder(tmp_path / 'copy').totals


@pytest.mark.slow
def test_100_000_annotations_in_20_seconds(tmp_path):
    """CPU seconds, for 14,000 real image files."""
    from large_coco import write

    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'train').mkdir()
    write(tmp_path / 'annotations' / 'instances_train.json', 14_000, 100_000)
    for height in range(441, 641):
        image = Image.effect_noise((640, height), 50)
        image.save(tmp_path / f'{height}.jpg')
    for number in range(1, 14_001):
        source = tmp_path / f'{640 - number % 200}.jpg'
        shutil.copy(source, tmp_path / 'train' / f'{number:012d}.jpg')
    start = time.process_time()
    check = check_folder(tmp_path)
    assert time.process_time() - start < 20
    assert check.splits['train']['boxes'] == 100_000
    assert set(check.totals) <= {'box outside the image', 'bad mask'}
