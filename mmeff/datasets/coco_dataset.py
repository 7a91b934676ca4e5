"""mmdet's CocoDataset, read faster and with little memory.

The file is mapped and divided into the texts of its entries (`CocoFile`). The entries of
one image are parsed, brought into mmdet's form by mmdet's own code, and packed before
those of the next, so the whole file is never held as Python objects.
"""

import gc
import pickle
from collections.abc import Iterable, Iterator

import numpy as np
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.fileio import get_local_path

from mmeff.datasets.coco_file import CocoFile
from mmeff.errors import UserError
from mmeff.registry import DATASETS


@DATASETS.register_module()
class CocoDataset(MMDetCocoDataset):
    """A data set in COCO form, with the arguments and the results of mmdet's.

    Two things of mmdet's are not here: the attribute `cat_img_map`, which only serves the
    filter, and `proposal_file`.

    Raises:
        UserError: The file is no COCO file, annotation ids are used twice, or there is a
            `proposal_file`.
    """

    def full_init(self) -> None:
        """Read, filter and pack the annotations; a second call does nothing."""
        if self._fully_initialized:
            return
        if self.proposal_file is not None:
            raise UserError(
                'mmeff.CocoDataset takes no proposal_file; use mmdet.CocoDataset'
            )
        infos = (info for info, is_kept in self._read() if is_kept)
        if self.serialize_data:
            infos = (pickle.dumps(info, protocol=4) for info in infos)
        if self._indices is not None or not self.serialize_data:
            self.data_list = infos = list(infos)
        if self._indices is not None:
            self.data_list = infos = self._get_unserialized_subset(self._indices)
        if self.serialize_data:
            self._join(infos)
        gc.collect()
        self._fully_initialized = True

    def _join(self, packed: Iterable[bytes]) -> None:
        """Join packed images into one array of bytes, as mmengine stores them."""
        joined, ends = bytearray(), []
        for image in packed:
            joined += image
            ends.append(len(joined))
        self.data_bytes = np.frombuffer(joined, np.uint8)
        self.data_address = np.array(ends, np.int64)
        self.data_list = []

    def load_data_list(self) -> list[dict]:
        """All images in mmdet's form, before any filter."""
        return [info for info, _ in self._read()]

    def _read(self) -> Iterator[tuple[dict, bool]]:
        """Each image in mmdet's form, and whether `filter_cfg` keeps it."""
        if 'img' not in self.data_prefix:
            raise UserError(
                f"data_prefix={self.data_prefix}: expected dict(img='folder of images/')"
            )
        with get_local_path(self.ann_file, backend_args=self.backend_args) as path:
            try:
                yield from self._infos(CocoFile(path, self.metainfo['classes']))
            except (
                ArithmeticError,
                AttributeError,
                LookupError,
                TypeError,
                ValueError,
            ) as error:
                raise UserError(
                    f'{self.ann_file}: cannot be read as COCO annotations '
                    f'({type(error).__name__}: {error}); tools/check_data.py lists what '
                    'is wrong with it'
                ) from error

    def _infos(self, file: CocoFile) -> Iterator[tuple[dict, bool]]:
        self.cat_ids = file.category_ids
        self.cat2label = {number: label for label, number in enumerate(self.cat_ids)}
        for image, annotations in file:
            has_class = image['id'] in file.with_class
            image['img_id'] = image['id']
            info = self.parse_data_info(
                {'raw_img_info': image, 'raw_ann_info': annotations}
            )
            yield info, self._keeps(info, has_class)

    def _keeps(self, info: dict, has_class: bool) -> bool:
        """mmdet's filter: True for an image to use."""
        if self.test_mode or self.filter_cfg is None:
            return True
        if self.filter_cfg.get('filter_empty_gt', False) and not has_class:
            return False
        return min(info['width'], info['height']) >= self.filter_cfg.get('min_size', 0)
