"""What a benchmark measures, and how."""

from dataclasses import dataclass, field
from pathlib import Path

from mmeff.errors import UserError
from mmeff.profiling.detector import REGIONS
from mmeff.profiling.latency import Budget


@dataclass(frozen=True)
class Options:
    """What to measure and how; the same for all detectors of a benchmark.

    Attributes:
        shape: Height and width of the image; by default those of the test pipeline.
        image: An image file; by default a synthetic image.
        batch: Images per run, all the same.
        precision: 'fp32', 'tf32', 'amp-fp16' or 'amp-bf16'.
        channels_last: Keep channels innermost in memory.
        fuse_conv_bn: Fuse convolutions and batch norms.
        compile: Compile backbone, neck and heads with `torch.compile`.
        threads: Threads on the CPU; torch's own choice by default.
        regions: Out of 'forward', 'detect' and 'pipeline'; by default the first two,
            and the third when there is an image.
        energy_windows: Windows in which energy is measured; 0: it is not.
        energy_seconds: Length of a window.
        layers: Whether to measure each layer, and the peaks of the device.
        budget: How long to measure latency.

    Raises:
        UserError: There is no such region, or a number is out of its range.
    """

    shape: tuple[int, int] | None = None
    image: str | Path | None = None
    batch: int = 1
    precision: str = 'fp32'
    channels_last: bool = False
    fuse_conv_bn: bool = False
    compile: bool = False
    threads: int | None = None
    regions: tuple[str, ...] | None = None
    energy_windows: int = 0
    energy_seconds: float = 10.0
    layers: bool = False
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        asked = self.regions
        if asked is None:
            asked = REGIONS[: 2 if self.image is None else 3]
        if not asked or not set(asked) <= set(REGIONS):
            raise UserError(
                f'regions {" ".join(asked)}: expected some of {" ".join(REGIONS)}'
            )
        object.__setattr__(self, 'regions', tuple(r for r in REGIONS if r in asked))
        if self.layers and self.compile:
            raise UserError(
                'layers and compile: a compiled network has no layers to measure; leave '
                'out one of them'
            )
