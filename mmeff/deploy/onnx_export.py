"""A detector as ONNX files that need neither mmeff nor torch.

A single-stage detector is one file; a detector with two stages is a folder with a file for
each of its networks, between which boxes are chosen by code. Before a file is written, it
is run by ONNX Runtime and compared with the detector.
"""

import copy
import hashlib
import importlib.util
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from mmeff.deploy.check_onnx import check_detections, check_outputs
from mmeff.deploy.inside import (
    OUTPUTS,
    Postprocess,
    Preprocess,
    Whole,
    head_outputs,
    translations,
)
from mmeff.deploy.onnx_part import INPUT, OPSET, fused, onnx_bytes, output_names, trace
from mmeff.deploy.optimized import has_fixed_size
from mmeff.deploy.parts import Part, split
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch
from mmeff.version import __version__

IMAGE = 'image'
PLACES = ('outside', 'inside')
MODULES = ('onnx', 'onnxscript', 'onnxruntime')

Shape = tuple[int, int]


@torch.no_grad()
def export(
    model: nn.Module,
    out: str | Path,
    *,
    post: str = 'outside',
    pre: str = 'outside',
    batch: int | None = 1,
    shape: Shape | str | None = 'pipeline',
    opset: int = OPSET,
    checkpoint: str | Path | None = None,
    image: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Write a detector as ONNX files; docs/deploy.md lists their inputs and outputs.

    Args:
        model: Detector in eval mode, with its config as `cfg`.
        out: A file ending in .onnx; for detectors with two stages a folder.
        post: 'inside': the file puts out detections; 'outside': the maps of the head.
        pre: 'inside': the file takes uint8 images; 'outside': normalised ones.
        batch: Images at a time; None lets the number vary.
        shape: Height and width of images; by default those that the test pipeline
            resizes to. None lets them vary.
        opset: Version of ONNX' operators.
        checkpoint: File of the weights, whose SHA-256 is noted.
        image: What the result is checked with; by default a synthetic image.
        progress: Called with a line on each step.

    Returns:
        The files.

    Raises:
        UserError: The detector cannot be exported so, or the result differs from it.
    """
    _check_arguments(post, pre)
    tell = progress or (lambda line: None)
    cfg, model = model.cfg, copy.deepcopy(model).cpu().requires_grad_(False)
    example = make_batch(cfg, None if shape == 'pipeline' else shape, batch=batch or 2)
    parts = split(model, _images(model, example))
    targets = _targets(parts, Path(out))
    if post == 'inside' and len(parts) > 1:
        raise UserError(
            f'{type(model).__name__} has two stages, between which boxes are chosen by '
            "code: its post-processing cannot be put into a file. Use post='outside'"
        )
    axes = {0: 'batch'} if batch is None else {}
    if shape is None:
        axes |= {1: 'height', 2: 'width'}  # of (B, H, W, 3)
    size = tuple(example['inputs'][0].shape[1:])
    data = make_batch(cfg, size, image, batch or 1)
    facts = _facts(model, size, shape, pre, post, checkpoint)
    contents = {}
    for part, target in zip(parts, targets, strict=True):
        tell(f'{part.name}: exporting')
        if part.on_rois:
            content = onnx_bytes(part, opset=opset)
            difference = check_outputs(part.name, content, part.module, part.example)
        else:
            maker = _First(model, part, pre, post, axes, opset)
            content = maker.content(example)
            difference = maker.check(content, data)
        tell(f'{part.name}: agrees with the detector, {difference}')
        contents[target] = _annotate(content, {**facts, 'part': part.name})
    for target, content in contents.items():
        _write(target, content)
    return list(contents)


def _check_arguments(post: str, pre: str) -> None:
    for name, value in (('post', post), ('pre', pre)):
        if value not in PLACES:
            raise UserError(f'{name}={value!r}: expected one of {", ".join(PLACES)}')
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f'export needs {", ".join(missing)}, not installed: pip install '
            '"mmeff[onnx]"'
        )


def _images(model: nn.Module, data: dict) -> Tensor:
    return model.data_preprocessor(copy.deepcopy(data), False)['inputs']


def _targets(parts: list[Part], out: Path) -> list[Path]:
    """A file for each part."""
    is_file = out.suffix == '.onnx'
    if len(parts) == 1:
        if not is_file or out.is_dir():
            raise UserError(f'{out}: expected the name of a file that ends in .onnx')
        return [out]
    if is_file or out.is_file():
        raise UserError(
            f'{out}: this detector is exported to several files; name a folder for them'
        )
    return [out / f'{part.name}.onnx' for part in parts]


class _First:
    """The export of the network that takes images, with what is put inside."""

    def __init__(
        self,
        model: nn.Module,
        part: Part,
        pre: str,
        post: str,
        axes: dict[int, str],
        opset: int,
    ) -> None:
        self.model, self.part, self.axes, self.opset = model, part, axes, opset
        self.pre = self.post = None
        if pre == 'inside':
            self.pre = Preprocess(model.data_preprocessor)
        self.nesting, sizes = head_outputs(part.module, part.example)
        if post == 'inside':
            varies = 'height' in axes.values()
            self.post = Postprocess(model.bbox_head, None if varies else sizes)

    def content(self, example: dict) -> bytes:
        """The file, for images like those of a batch."""
        axes = self.axes
        if self.pre is None:  # of (B, 3, H, W)
            axes = {axis + 1 if axis else 0: name for axis, name in axes.items()}
        module = Whole(fused(self.part), self.pre, self.post, self.nesting)
        return trace(
            self.part.name,
            module.eval(),
            self._input(example),
            axes,
            OUTPUTS if self.post else output_names(self.part),
            opset=self.opset,
            name=IMAGE if self.pre else INPUT,
            translations=translations() if self.post else None,
        )

    def check(self, content: bytes, data: dict) -> str:
        """Compare with the detector on a batch; tells how large the differences are."""
        inputs, images = self._input(data), _images(self.model, data)
        if self.post is not None:
            return check_detections(content, self.model, inputs, data)
        return check_outputs(
            self.part.name, content, self.part.module, images, inputs=inputs
        )

    def _input(self, data: dict) -> Tensor:
        if self.pre is None:
            return _images(self.model, data)
        images = torch.stack([image.permute(1, 2, 0) for image in data['inputs']])
        return images.to(torch.uint8).contiguous()


def _facts(
    model: nn.Module,
    size: Shape,
    shape: Shape | str | None,
    pre: str,
    post: str,
    checkpoint: str | Path | None,
) -> dict[str, object]:
    """What a user of the file needs to know."""
    cfg, preprocessor = model.cfg, model.data_preprocessor
    meta = getattr(model, 'dataset_meta', None) or {}
    facts = {
        'mmeff_version': __version__,
        'pre': pre,
        'post': post,
        'classes': list(meta.get('classes', ())),
        'mean': getattr(preprocessor, 'mean', torch.zeros(3)).flatten().tolist(),
        'std': getattr(preprocessor, 'std', torch.ones(3)).flatten().tolist(),
        'bgr_to_rgb': bool(getattr(preprocessor, '_channel_conversion', False)),
        'pad_size_divisor': getattr(preprocessor, 'pad_size_divisor', 1),
        'size': list(size),
        'keep_ratio': shape == 'pipeline' and not has_fixed_size(cfg),
        'config': Path(cfg.filename).name if cfg.filename else '',
    }
    if checkpoint is not None:
        digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
        facts['checkpoint_sha256'] = digest
    return facts


def _annotate(content: bytes, facts: dict[str, object]) -> bytes:
    """The file with facts as metadata, each as JSON but for texts."""
    import onnx

    model = onnx.load_from_string(content)
    for key, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=key, value=text)
    return model.SerializeToString()


def _write(file: Path, content: bytes) -> None:
    """Write a file that is either complete or not there."""
    unfinished = file.with_name(f'.{file.name}-{uuid.uuid4().hex[:12]}')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        os.replace(unfinished, file)
    except OSError as error:
        raise UserError(f'{file}: cannot be written ({error.strerror})') from error
    finally:
        unfinished.unlink(missing_ok=True)
