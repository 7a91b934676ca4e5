"""What a benchmark measures, and how."""

from dataclasses import dataclass, field
from pathlib import Path

from mmeff.deploy.choose import BASELINE, expand
from mmeff.errors import UserError
from mmeff.profiling.detector import REGIONS
from mmeff.profiling.latency import Budget

# mmdet's own way casts while it runs, a backend has its weights in the type
HALF = {'amp-fp16': 'fp16', 'amp-bf16': 'bf16'}
PRECISIONS = ('fp32', 'tf32', *HALF, *HALF.values())


@dataclass(frozen=True)
class Options:
    """What to measure and how; the same for all detectors of a benchmark.

    Attributes:
        shape: Height and width of the image; by default those of the test pipeline.
        image: An image file; by default a synthetic image.
        batch: Images per run, all the same.
        precision: 'fp32', 'tf32', 'fp16' or 'bf16'; of the last two, 'amp-fp16' and
            'amp-bf16' are other names, see `precision_of`.
        channels_last: Keep channels innermost in memory.
        fuse_conv_bn: Fuse convolutions and batch norms.
        compile: Compile backbone, neck and heads with `torch.compile`.
        threads: Threads on the CPU; torch's own choice by default.
        regions: Out of 'forward', 'detect', 'pipeline' and 'api'; by default the
            first two, and the third when there is an image.
        energy_windows: Windows in which energy is measured; 0: it is not.
        energy_seconds: Length of a window.
        layers: Whether to measure each layer, and the peaks of the device.
        budget: How long to measure latency.
        backends: What runs the networks, names of `mmeff.deploy.choose.NAMES`; 'all'
            for all that the machine has. With a precision of its own: 'openvino:bf16'.

    Raises:
        UserError: There is no such region or backend, or options do not go together.
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
    backends: tuple[str, ...] = (BASELINE,)

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
        if 'api' in self.regions and (self.batch > 1 or self.shape is not None):
            raise UserError(
                '--regions api: one call takes one image and resizes it as the config '
                'says; leave out --batch and --shape'
            )
        self._check_backends()

    def _check_backends(self) -> None:
        names = [name for name, _ in self.variants]
        given = {
            '--fuse-conv-bn': self.fuse_conv_bn,
            '--channels-last': self.channels_last,
            '--compile': self.compile,
            '--precision tf32': self.precision == 'tf32',
        }
        wrong = [option for option, is_given in given.items() if is_given]
        if wrong and names != [BASELINE]:
            raise UserError(
                f"{', '.join(wrong)}: for mmdet's own way only; a backend does itself "
                f'what makes it fast. Leave that out, or --backend '
                f'{" ".join(self.backends)}'
            )

    @property
    def variants(self) -> list[tuple[str, str]]:
        """Each backend with its precision, as that is called for it.

        >>> Options(backends=('mmdet', 'torch', 'openvino:bf16')).variants
        [('mmdet', 'fp32'), ('torch', 'fp32'), ('openvino', 'bf16')]
        >>> Options(backends=('mmdet', 'torch'), precision='bf16').variants
        [('mmdet', 'amp-bf16'), ('torch', 'bf16')]
        """
        found = {}
        for asked in self.backends:
            name, _, precision = asked.partition(':')
            for each in expand([name]):
                found[each, precision_of(each, precision or self.precision)] = None
        return list(found)

    def is_named(self, backend: str) -> bool:
        """Whether a backend is asked for by its name, and not by 'all'."""
        return backend in (asked.partition(':')[0] for asked in self.backends)


def precision_of(backend: str, precision: str) -> str:
    """The precision as it is called for a backend.

    >>> precision_of('mmdet', 'bf16'), precision_of('openvino', 'amp-bf16')
    ('amp-bf16', 'bf16')

    Raises:
        UserError: There is no such precision.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f'precision {precision!r}: expected one of {", ".join(PRECISIONS)}'
        )
    for mixed, whole in HALF.items():
        if precision in (mixed, whole):
            return mixed if backend == BASELINE else whole
    return precision
