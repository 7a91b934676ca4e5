"""Figures of one setup each, written as PNG and SVG."""

from PIL import Image

from mmeff.reporting.columns import BY_KEY, LATENCY
from mmeff.reporting.plots import draw, write_plots
from mmeff.reporting.rows import make_report

from result_files import benchmark, evaluation, write

AP, FPS = BY_KEY['coco/bbox_mAP'], BY_KEY['fps']


def models(folder, device='NVIDIA H100 80GB HBM3'):
    """Three models; `worse` is slower and less accurate than `best`."""
    for name, latency, accuracy in (
        ('best', 10, 0.4),
        ('worse', 12, 0.3),
        ('fast $x_1', 5, 0.2),
    ):
        timed = benchmark(name, weights=name, device=device, latency_ms=latency)
        write(folder / name, b=timed, m=evaluation(name, name, bbox_mAP=accuracy))
    return folder


def test_figures_are_written_whole(tmp_path):
    written = write_plots(make_report([models(tmp_path / 'r')]), tmp_path / 'figures')
    setup = 'nvidia-h100-80gb-hbm3-fp32-batch-1'
    kinds = ('box-ap_fps', 'box-ap_gflop-per-s', 'box-ap_energy')
    kinds += ('latency_gmacs', 'latency_memory-access')
    names = {f'{kind}__{setup}.{end}' for kind in kinds for end in ('png', 'svg')}
    assert {path.name for path in written} == names
    for path in written:
        assert path.stat().st_size < 150_000
        if path.suffix == '.png':
            Image.open(path).verify()
        else:
            assert path.read_text().rstrip().endswith('</svg>')


def test_front_goes_through_the_models_that_none_beats(tmp_path):
    report = make_report([models(tmp_path)])
    ((setup, rows),) = report.groups()
    axes = draw(rows, setup, FPS, AP).axes[0]
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[100, 40], [200, 20]]
    texts = [text.get_text() for text in axes.texts]
    assert any('3 models; line: Pareto front' in text for text in texts)
    assert {'best', 'worse', 'fast $x_1'} <= set(texts)
    assert axes.get_xlabel() == 'FPS, higher is better'


def test_latency_against_cost_has_a_rank_correlation_and_no_front(tmp_path):
    for name, latency, macs in (('a', 5, 1.0), ('b', 6, 3.0), ('c', 7, 2.0)):
        write(tmp_path, **{name: benchmark(name, latency_ms=latency, macs_g=macs)})
    ((setup, rows),) = make_report([tmp_path]).groups()
    axes = draw(rows, setup, BY_KEY['macs_g'], LATENCY).axes[0]
    assert not axes.lines
    # ranks 1 3 2 against 1 2 3: 1 - 6 * 2 / (3 * 8)
    assert any('rank correlation 0.50' in text.get_text() for text in axes.texts)


def test_one_model_makes_no_figure(tmp_path):
    write(tmp_path, a=benchmark())
    assert write_plots(make_report([tmp_path]), tmp_path / 'figures') == []


def test_devices_do_not_share_a_figure(tmp_path):
    models(tmp_path / 'gpu')
    models(tmp_path / 'cpu', device='cpu')
    groups = make_report([tmp_path]).groups()
    assert len(groups) == 2
    for setup, rows in groups:
        points = draw(rows, setup, FPS, AP).axes[0].collections
        assert len(points) == 3
