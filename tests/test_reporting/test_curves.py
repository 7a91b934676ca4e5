import json

import pytest

from mmeff.errors import UserError
from mmeff.reporting.curves import plot_curves, read_run


def write_log(work_dir, start, entries, tail=''):
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    text = '\n'.join(json.dumps(entry) for entry in entries)
    (folder / 'scalars.json').write_text(f'{text}\n{tail}')


def step(epoch, number, loss, time):
    return {'epoch': epoch, 'step': number, 'iter': number, 'loss': loss, 'time': time}


def test_an_epoch_has_its_last_loss_and_its_iterations_times_their_time(tmp_path):
    validation = {'coco/bbox_mAP': 0.25, 'step': 2}
    lines = [step(1, 50, 4.0, 1.0), step(1, 100, 3.0, 3.0), step(2, 150, 2.0, 6.0)]
    write_log(tmp_path, '20260101_000000', [*lines, validation])
    run = read_run(tmp_path)
    assert run.points['loss'] == {1: 3.0, 2: 2.0}
    assert run.points['coco/bbox_mAP'] == {2: 0.25}
    assert run.minutes == {1: 100 * 2.0 / 60, 2: (100 * 2.0 + 50 * 6.0) / 60}


def test_an_epoch_that_was_trained_again_counts_once(tmp_path):
    cut_off = '{"epoch": 2, "ste'
    first = [step(1, 10, 4.0, 6.0), step(2, 15, 3.5, 60.0)]
    write_log(tmp_path, '20260101_000000', first, cut_off)
    write_log(tmp_path, '20260102_000000', [step(2, 20, 3.0, 12.0)])
    run = read_run(tmp_path)
    assert run.points['loss'] == {1: 4.0, 2: 3.0}
    assert run.minutes == {1: 1.0, 2: 3.0}


@pytest.mark.parametrize('axis', ['epoch', 'minutes'])
def test_the_picture_leaves_out_keys_that_no_log_has(tmp_path, axis):
    write_log(tmp_path / 'a', '1', [step(1, 10, 4.0, 1.0), step(2, 20, 3.0, 1.0)])
    out = tmp_path / 'curves.png'
    keys = ['loss', 'coco/bbox_mAP']
    assert plot_curves([tmp_path / 'a'], out, keys, axis=axis) == ['coco/bbox_mAP']
    assert out.read_bytes().startswith(b'\x89PNG')


def test_what_cannot_be_drawn_is_a_message(tmp_path):
    with pytest.raises(UserError, match='no logs of a training'):
        read_run(tmp_path)
    write_log(tmp_path, '1', [step(1, 10, 4.0, 1.0)])
    with pytest.raises(
        UserError, match=r"none of acc in the logs; they have \['epoch'"
    ):
        plot_curves([tmp_path], tmp_path / 'x.png', ['acc'])
    with pytest.raises(UserError, match='2 names for 1 trainings'):
        plot_curves([tmp_path], tmp_path / 'x.png', legend=['a', 'b'])
    with pytest.raises(UserError, match='cannot write'):
        plot_curves([tmp_path], tmp_path / 'x.nothing')
