"""Whether an ONNX file computes what the detector does."""

import copy

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmeff.deploy.agreement import compare, cuts_of
from mmeff.errors import UserError

MAX_DIFFERENCE = 1e-4  # of the largest value of an output
MAX_PX, MAX_SCORE = 0.05, 1e-4


def run(content: bytes, inputs: Tensor) -> list[np.ndarray]:
    """Outputs of a file with one input, computed by ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        content, options, providers=['CPUExecutionProvider']
    )
    return session.run(None, {session.get_inputs()[0].name: inputs.numpy()})


@torch.no_grad()
def check_outputs(
    name: str,
    content: bytes,
    module: nn.Module,
    example: Tensor,
    inputs: Tensor | None = None,
) -> str:
    """Compare the outputs of a network.

    Args:
        name: What messages call it.
        content: The file.
        module: What was exported.
        example: Its input.
        inputs: That of the file, if it is another.

    Returns:
        The largest difference, in words.

    Raises:
        UserError: It is above `MAX_DIFFERENCE`.
    """
    found = run(content, example if inputs is None else inputs)
    differences = [
        _difference(expected.numpy(), output)
        for expected, output in zip(module(example), found, strict=True)
    ]
    difference = max(differences)
    if not difference <= MAX_DIFFERENCE:
        raise UserError(
            f'{name}: ONNX Runtime and torch differ by {difference:.1e} of the largest '
            f'value, more than {MAX_DIFFERENCE:g}; nothing was written'
        )
    return f'largest difference {difference:.1e} of the largest value'


def _difference(expected: np.ndarray, output: np.ndarray) -> float:
    largest = max(np.abs(expected).max(initial=0), 1e-12)
    return float(np.abs(expected - output).max(initial=0) / largest)


@torch.no_grad()
def check_detections(
    content: bytes, model: nn.Module, inputs: Tensor, data: dict
) -> str:
    """Compare detections with mmdet's own.

    Args:
        content: A file with its post-processing inside.
        model: The detector, on the CPU.
        inputs: Of the file.
        data: The same images for the detector.

    Returns:
        How many there are, in words.

    Raises:
        UserError: They differ by more than `MAX_PX` or `MAX_SCORE`.
    """
    boxes, scores, labels, numbers = map(torch.from_numpy, run(content, inputs))
    reference = model.test_step(copy.deepcopy(data))
    samples = []
    for i, sample in enumerate(reference):
        scale = boxes.new_tensor(sample.scale_factor).repeat(2)
        sample.pred_instances.bboxes *= scale  # in pixels of the network's input
        found = slice(int(numbers[i]))
        samples.append(DetDataSample())
        samples[-1].pred_instances = InstanceData(
            bboxes=boxes[i, found], scores=scores[i, found], labels=labels[i, found]
        )
    result = compare(samples, reference, cuts_of(model.cfg))
    if result.unmatched or not (
        result.max_box_px <= MAX_PX and result.max_score <= MAX_SCORE
    ):
        raise UserError(
            f'the detections of the exported file are not those of mmdet: '
            f'{result.boxes} pairs of boxes, at most {result.max_box_px:.1e} pixels and '
            f'{result.max_score:.1e} of the score apart, and {result.unmatched} without '
            'a partner; nothing was written'
        )
    return (
        f'{result.boxes} detections equal, to {result.max_box_px:.1e} pixels and '
        f'{result.max_score:.1e} of the score'
    )
