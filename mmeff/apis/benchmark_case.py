"""One detector of a benchmark: built once, run by every measurement, then one result."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import mmcv
import torch
from mmdet.apis import inference_detector
from mmengine.config import Config
from torch import nn

from mmeff.apis.benchmark_options import Options, precision_of
from mmeff.checkpoints.detector import build_detector
from mmeff.checkpoints.safe import file_sha256
from mmeff.deploy.choose import BASELINE, build_backend
from mmeff.deploy.media import image_source, read_frames
from mmeff.deploy.predictor import Predictor
from mmeff.deploy.preprocess import Preprocess
from mmeff.errors import UserError
from mmeff.profiling.counts import count_operations, count_params, sum_parts
from mmeff.profiling.detector import REGIONS, DetectorRegions
from mmeff.profiling.energy import measure_energy, no_energy
from mmeff.profiling.environment import device_name
from mmeff.profiling.inputs import make_batch, make_loader, synthetic_image
from mmeff.profiling.latency import Latency
from mmeff.profiling.memory import measure_memory
from mmeff.profiling.precision import check_precision
from mmeff.profiling.roofline import Peaks, layer_rows, layer_times, roofline

OWN_ALLOCATOR = ('onnxruntime', 'openvino', 'tensorrt')


class Case:
    """One detector in one backend, ready to be measured, and what is known of it so far.

    Args:
        cfg: Config of the detector.
        options: What to measure and how.
        checkpoint: Weights; random ones if None.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.
        folder: Where a synthetic image may be written, if it has to be read.
        model: The detector, in place of one built from the config.
        backend: What runs its networks, one of `mmeff.deploy.choose.NAMES`.
        precision: As it is called for this backend; by default that of the options.

    Raises:
        UserError: Config, checkpoint, image, backend or options do not fit.
    """

    def __init__(
        self,
        cfg: Config,
        options: Options,
        checkpoint: str | Path | None = None,
        device: str | None = None,
        folder: str | Path = '.',
        model: nn.Module | None = None,
        backend: str = BASELINE,
        precision: str | None = None,
    ) -> None:
        self.cfg, self.options, self.checkpoint = cfg, options, checkpoint
        self.backend, self.siblings, self.refused = backend, [self], {}
        self.precision = precision or precision_of(backend, options.precision)
        self.peak_precision = precision_of(BASELINE, self.precision)
        self.name = self.label = Path(cfg.filename or 'config').stem
        self._image = options.image
        if self._image is None and {'pipeline', 'api'} & set(options.regions):
            # a name of its own: another config may have the same stem
            self._image = Path(folder) / f'{self.name}-{id(self)}.jpg'
            mmcv.imwrite(synthetic_image(cfg, options.shape), str(self._image))
        data = make_batch(cfg, options.shape, self._image, options.batch)
        if model is None:
            model = build_detector(cfg, checkpoint, device)
        self._counted = DetectorRegions(
            model,
            data,
            self.precision if self.is_baseline else 'fp32',
            load=self._loader(),
            call=self._caller(model),
        )
        if options.layers:
            check_precision(self.peak_precision, self._counted.device)
        self.regions = self._counted
        if not self.is_baseline:
            self.regions = self._optimized(model, data)
        if options.fuse_conv_bn:
            with self._explained():
                self.regions.fuse_conv_bn()
        if options.channels_last:
            self.regions.use_channels_last()
        self.metrics, self.reasons = {}, {}
        self._operations = self._parts = self._peaks = self._times = None

    @property
    def is_baseline(self) -> bool:
        """Whether mmdet's own way is measured."""
        return self.backend == BASELINE

    def runs(self) -> dict[str, Callable[[], object]]:
        """The regions to time, by their names."""
        return {name: getattr(self.regions, name) for name in self.options.regions}

    def count(self) -> None:
        """Count what does not depend on time, in mmdet's own way; operations are per image.

        Raises:
            UserError: The first run fails, for want of memory or for the shape.
        """
        regions, batch = self._counted, self.options.batch
        params = count_params(regions.model)
        with self._explained():
            self._operations = forward = count_operations(
                regions.forward, regions.model
            )
            detect = count_operations(regions.detect)
            boxes = self.regions.boxes_per_img()
            proposals = regions.proposals_per_img()
        if proposals is None:
            self.reasons['proposals_per_img'] = 'the detector has no proposals'
        self.metrics.update(
            params_m=params.total / 1e6,
            params_trainable_m=params.trainable / 1e6,
            macs_g=forward.macs / batch / 1e9,
            flops_g=forward.flops / batch / 1e9,
            macs_detect_g=detect.macs / batch / 1e9,
            activations_m=forward.activations / batch / 1e6,
            memory_access_m=forward.memory_access / batch / 1e6,
            elementwise_access_m=forward.elementwise_access / batch / 1e6,
            arithmetic_intensity=forward.macs / max(forward.memory_access, 1),
            uncounted_ops=forward.uncounted,
            boxes_per_img=boxes,
            proposals_per_img=proposals,
        )
        self._parts = sum_parts(regions.model, forward, batch)
        self._counted = None  # an optimised detector has weights of its own

    def compile(self) -> None:
        """Compile the network, if the options ask for it; after `count`."""
        if self.options.compile:
            with self._explained():
                self.regions.compile()

    def measure_memory(self, others: int) -> None:
        """Measure the memory of `detect`.

        Args:
            others: Detectors beside this one, in the process or on the GPU.
        """
        with self._explained():
            memory = measure_memory(
                self.regions.detect, self.regions.model, self.regions.device
            )
        unknown = {}
        if not self.is_baseline:
            unknown['weights_mb'] = f'{self.backend} has them in a form of its own'
        alone = f'{others} more in the process; measure this detector alone'
        for key in ('peak_rss_mb', 'peak_allocated_mb', 'peak_reserved_mb'):
            if others:
                unknown[key] = alone
            elif self.backend in OWN_ALLOCATOR and key != 'peak_rss_mb':
                unknown[key] = f'{self.backend} does not use the allocator of torch'
        for key, reason in unknown.items():
            if memory[key] is not None:
                memory[key], memory['reasons'][key] = None, reason
        self._add(memory)

    def measure_energy(self) -> None:
        """Measure the energy of `detect`, if the options ask for it."""
        windows, seconds = self.options.energy_windows, self.options.energy_seconds
        if not windows:
            self._add(no_energy('not asked for (--energy)'))
            return
        self._add(
            measure_energy(
                self.regions.detect,
                self.options.batch,
                self.regions.device,
                windows,
                seconds,
            )
        )

    def measure_layers(self, peaks: Peaks) -> None:
        """Measure the time of each layer of `forward`; other backends have no layers.

        Args:
            peaks: Of the device, in the same precision.
        """
        self._peaks = peaks
        if self.is_baseline:
            regions, batch = self.regions, self.options.batch
            self._times = layer_times(regions.forward, regions.model, regions.device)
            self._parts = sum_parts(
                regions.model, self._operations, batch, self._times.modules
            )

    def result(
        self,
        latencies: Mapping[str, Latency],
        clocks: dict,
        environment: dict,
        baseline: Mapping[str, Latency] | None = None,
    ) -> dict:
        """Everything that was measured.

        Args:
            latencies: Of each region that was timed.
            clocks: Summary of the `ClockMonitor` of the same time.
            environment: See `describe_environment`.
            baseline: Latencies of mmdet's own way, if that took turns with this one.

        Returns:
            The keys of `mmeff.profiling.results.KEYS`, but for the version.
        """
        self._add(clocks)
        self._add(self._speed(latencies))
        self._add(_speedups(latencies, baseline))
        whole = self._roofline(latencies)
        self.metrics['roofline_share'] = whole and whole['share']
        if whole is None:
            reason = 'not asked for (--layers)'
            self.reasons.update(roofline=reason, roofline_share=reason)
        elif whole['share'] is None:
            self.reasons['roofline_share'] = 'forward was not timed (--regions)'
        digest = hashlib.sha256(self.cfg.pretty_text.encode()).hexdigest()
        return {
            'config': self.name,
            'config_sha256': digest,
            'checkpoint': None if self.checkpoint is None else str(self.checkpoint),
            'checkpoint_sha256': file_sha256(self.checkpoint),
            'settings': self._settings(),
            'metrics': {**self.metrics, 'reasons': self.reasons},
            'parts': self._parts,
            'layers': layer_rows(
                self._operations, self.options.batch, self._peaks, self._times
            ),
            'roofline': whole,
            'samples': {
                f'latency_{region}_ms': latency.rounds_ms
                for region, latency in latencies.items()
            },
            'environment': environment,
        }

    def _roofline(self, latencies: Mapping[str, Latency]) -> dict | None:
        """What the roofline says of `forward`; None without peaks."""
        if self._peaks is None:
            return None
        forward = latencies.get('forward')
        mean_ms = None if forward is None else forward.mean
        return roofline(self._operations, self._peaks, mean_ms)

    def _optimized(self, model: nn.Module, data: dict) -> DetectorRegions:
        """The regions as the backend runs them, for sizes that vary as in the config."""
        options = self.options
        with self._explained():
            fast = build_backend(
                model,
                self.backend,
                data,
                precision=self.precision,
                threads=options.threads,
                dynamic=None if options.shape is None else False,
            )
        device = self._counted.device
        return DetectorRegions(
            fast, data, load=self._loader(), call=self._caller(fast), device=device
        )

    def _loader(self) -> Callable[[], dict] | None:
        """Reads the image as the config says, or, for a backend, in the fast way."""
        options = self.options
        if self._image is None:
            return None
        if self.is_baseline or options.shape is not None:
            return make_loader(self.cfg, self._image, options.shape, options.batch)
        return _fast_loader(self.cfg, self._image, options.batch)

    def _caller(self, model: nn.Module) -> Callable[[], object] | None:
        """Detects in the decoded image as a program would; None without `api`."""
        if 'api' not in self.options.regions:
            return None
        (frame,) = read_frames(image_source(self._image))
        if self.is_baseline:
            return lambda: inference_detector(model, frame.image)
        predict = Predictor(model, self.backend)
        return lambda: predict(frame.image)

    def _settings(self) -> dict:
        options = self.options
        image = None if self._image is None else str(self._image)
        return {
            'device': device_name(self.regions.device),
            'precision': self.precision,
            'batch': options.batch,
            'image': image if options.image or image is None else 'synthetic JPEG',
            'image_shape': self.regions.image_shape,
            'input_shape': self.regions.input_shape,
            'backend': self.backend,
            'backends_refused': self.refused,
            'channels_last': options.channels_last,
            'fuse_conv_bn': options.fuse_conv_bn,
            'compile': options.compile,
            'threads': options.threads,
            'regions': options.regions,
            'energy': options.energy_windows > 0,
            **asdict(options.budget),
        }

    def _speed(self, latencies: Mapping[str, Latency]) -> dict:
        """Latencies, and what follows from them; all keys, some of them None."""
        speed = {'fps': None, 'gflops_per_s': None, 'reasons': {}}
        for region in REGIONS:
            speed[f'latency_{region}_ms'] = None
            if region in latencies:
                speed[f'latency_{region}_ms'] = latencies[region].summary()
            else:
                reason = f'{region} was not timed (--regions)'
                speed['reasons'][f'latency_{region}_ms'] = reason
        batch = self.options.batch
        if 'detect' in latencies:
            speed['fps'] = 1000 * batch / latencies['detect'].mean
        else:
            speed['reasons']['fps'] = 'detect was not timed (--regions)'
        if 'forward' in latencies:
            flops_g = self.metrics['flops_g'] * batch
            speed['gflops_per_s'] = 1000 * flops_g / latencies['forward'].mean
        else:
            speed['reasons']['gflops_per_s'] = 'forward was not timed (--regions)'
        return speed

    def _add(self, numbers: dict) -> None:
        """Add to the metrics; 'reasons' tell why some of them are None."""
        self.reasons.update(numbers.get('reasons', {}))
        self.metrics.update({k: v for k, v in numbers.items() if k != 'reasons'})

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in a message what the user can change, when a run fails."""
        options = self.options
        size = '{} {}'.format(*self.regions.image_shape)
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise UserError(
                f'out of memory with {options.batch} images of {size} pixels; a smaller '
                '--shape or --batch may fit'
            ) from error
        except RuntimeError as error:
            if options.shape is None:
                raise
            raise UserError(
                f'shape {size}: the detector cannot run on it: {error}'
            ) from error


def _speedups(
    latencies: Mapping[str, Latency], baseline: Mapping[str, Latency] | None
) -> dict:
    """How many times as fast as mmdet's own way, by medians of the same turns."""
    speed = {'reasons': {}}
    for region in REGIONS:
        key = f'speedup_{region}'
        speed[key] = None
        if region not in latencies:
            speed['reasons'][key] = f'{region} was not timed (--regions)'
        elif baseline is None:
            speed['reasons'][key] = 'not measured in turns with mmdet and a backend'
        else:
            speed[key] = baseline[region].median / latencies[region].median
    return speed


def _fast_loader(cfg: Config, image: str | Path, batch: int) -> Callable[[], dict]:
    """Reads an image file `batch` times, as the predictor does."""
    preprocess = Preprocess(cfg)
    source = image_source(image)

    def load() -> dict:
        packed = [
            preprocess(frame.image, str(image))
            for _ in range(batch)
            for frame in read_frames(source, **preprocess.decoding)
        ]
        return {key: [one[key] for one in packed] for key in packed[0]}

    return load
