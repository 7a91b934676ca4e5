"""Every bad input is told with file and reason, and none ends in a traceback."""

import pytest
from mmengine import Config

from mmeff.datasets import adopt
from mmeff.datasets.check import check_folder
from mmeff.datasets.repair import REPAIRS
from mmeff.errors import UserError

from bad_inputs import BAD_INPUTS


def files_below(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob('*'))


def config() -> Config:
    """As much of a config as `adopt` looks at."""
    loader = dict(
        dataset=dict(type='CocoDataset', pipeline=[dict(type='PackDetInputs')])
    )
    return Config(
        dict(
            model=dict(bbox_head=dict(num_classes=80)),
            train_dataloader=loader,
            val_dataloader=loader,
            test_dataloader=loader,
            val_evaluator=dict(type='CocoMetric'),
            test_evaluator=dict(type='CocoMetric'),
        )
    )


def test_there_are_at_least_120():
    assert len({(row.layout, row.name) for row in BAD_INPUTS}) >= 120


@pytest.mark.parametrize('row', BAD_INPUTS, ids=lambda row: f'{row.layout}: {row.name}')
def test_bad_input(row, request, tmp_path):
    root = request.getfixturevalue(row.layout)
    row.damage(root)
    before = files_below(tmp_path)
    if row.kind:
        check = check_folder(root)
        told = [str(defect) for defect in check.defects if defect.kind == row.kind]
        assert told, check.totals
        assert row.says in told[0]
        assert str(tmp_path) in told[0]
        assert set(check.totals) <= set(REPAIRS)
    else:
        with pytest.raises(UserError) as error:
            check_folder(root)
        assert row.says in str(error.value)
    assert files_below(tmp_path) == before

    work_dir = tmp_path / 'work'
    if row.refused is None:
        adopt(config(), root, work_dir)
        assert not list(tmp_path.rglob('.*'))
    else:
        with pytest.raises(UserError) as error:
            adopt(config(), root, work_dir)
        assert row.refused in str(error.value)
        assert files_below(tmp_path) == before
