"""What the page shows of one model, as plain data."""

from math import isfinite

from mmeff.reporting.columns import ACCURACIES, format_number
from mmeff.reporting.rows import Row, clean, doubts, input_text, number

ELEMENT_BYTES = {
    'fp32': 4,
    'tf32': 4,
    'amp-fp16': 2,
    'amp-bf16': 2,
    'fp16': 2,
    'bf16': 2,
}
REGIONS = ('forward', 'detect', 'pipeline', 'api')
LATENCY_KEYS = ('mean', 'median', 'p90', 'p99', 'min', 'max')
MEASURES = (
    # title, key of a part, unit
    ('parameters', 'params_m', 'M'),
    ('operations', 'macs_g', 'GMACs'),
    ('activations', 'activations_m', 'M'),
    ('memory access', 'memory_access_m', 'M'),
    ('elementwise access', 'elementwise_access_m', 'M'),
    ('time', 'latency_ms', 'ms'),
)
TILES = (
    # title, path into the metrics, unit, digits
    ('detect, mean', ('latency_detect_ms', 'mean'), 'ms', 2),
    ('speed', ('fps',), 'FPS', 1),
    ('parameters', ('params_m',), 'M', 2),
    ('operations', ('macs_g',), 'GMACs', 2),
    ('operations x 2', ('flops_g',), 'GFLOPs', 2),
    ('memory access', ('memory_access_m',), 'M', 1),
    ('intensity', ('arithmetic_intensity',), 'MACs/element', 1),
    ('efficiency', ('gflops_per_s',), 'GFLOP/s', 1),
    ('weights', ('weights_mb',), 'MiB', 1),
    ('peak memory', ('peak_allocated_mb',), 'MiB', 0),
    ('peak RSS', ('peak_rss_mb',), 'MiB', 0),
    ('energy', ('energy_j_per_img',), 'J/img', 3),
    ('energy above idle', ('energy_net_j_per_img',), 'J/img', 3),
    ('boxes', ('boxes_per_img',), '/img', 1),
)


def describe(row: Row) -> dict:
    """All that `page/*.js` draws for a row; strings and finite numbers only."""
    content = row.benchmark or {}
    roofline = _roofline(content)
    return {
        'name': row.name,
        'input': input_text(row) or '',
        'tiles': _tiles(row),
        'latencies': _latencies(row.metrics),
        'remark': _remark(row),
        'parts': _parts(content),
        'layers': _layers(content),
        'roofline': roofline,
        'rooflineReason': '' if roofline else _no_roofline(row),
        'settings': _pairs(content.get('settings')),
        'environment': _pairs(content.get('environment')),
        'files': [clean(file) for file in row.files],
    }


def short(value: float | None) -> float | None:
    """Six digits: the page is no archive, the result files are. None for infinity."""
    return float(f'{value:.6g}') if value is not None and isfinite(value) else None


def _dicts(content: dict, key: str) -> list[dict]:
    found = content.get(key)
    return [d for d in found if isinstance(d, dict)] if isinstance(found, list) else []


def _tiles(row: Row) -> list[list[str]]:
    tiles = [[c.title, c.text(row), ''] for c in ACCURACIES if c.text(row)]
    for title, path, unit, digits in TILES:
        value = number(row.metrics, *path)
        if value is not None:
            tiles.append([title, format_number(value, digits), unit])
    return tiles


def _latencies(metrics: dict) -> list[list]:
    lines = []
    for region in REGIONS:
        key = f'latency_{region}_ms'
        if number(metrics, key, 'mean') is not None:
            times = [short(number(metrics, key, name)) for name in LATENCY_KEYS]
            spread = number(metrics, key, 'spread_percent')
            share = None if spread is None else short(spread / 100)
            lines.append([region, *times, share, number(metrics, key, 'n')])
    return lines


def _remark(row: Row) -> str:
    parts = [f'{text[0].upper()}{text[1:]}.' for text in doubts(row)]
    if row.weights is None:
        parts.append('Random weights: trained ones find other boxes to decode.')
    uncounted = row.metrics.get('uncounted_ops')
    if isinstance(uncounted, dict) and uncounted:
        names = ', '.join(f'{name} ({calls}x)' for name, calls in uncounted.items())
        parts.append(f'Operators without a formula, not in the operations: {names}.')
    return clean(' '.join(parts))


def _parts(content: dict) -> dict:
    """Names of the parts, and for each measure that one has a number for all values."""
    parts = _dicts(content, 'parts')
    measures = []
    for title, key, unit in MEASURES:
        values = [number(part, key) for part in parts]
        if any(values):
            shown = [short(value) for value in values]
            measures.append({'title': title, 'unit': unit, 'values': shown})
    names = [clean(part.get('name', '')) for part in parts]
    return {'names': names, 'measures': measures}


def _layers(content: dict) -> list[dict]:
    """Layers by time, or by MACs where no time was measured."""
    layers = [_layer(layer, content) for layer in _dicts(content, 'layers')]
    return sorted(
        layers, key=lambda layer: (-(layer['time'] or 0), -(layer['macs'] or 0))
    )


def _layer(layer: dict, content: dict) -> dict:
    macs, access, time = (
        number(layer, key) for key in ('macs_m', 'memory_access_m', 'time_ms')
    )
    size = ELEMENT_BYTES.get(content['settings']['precision'])
    # FLOP per byte
    intensity = 2 * macs / (size * access) if macs and access and size else None
    return {
        'name': clean(layer.get('name', '')),
        'op': clean(layer.get('op', '')),
        'kernel': _kernel(layer),
        'shape': _times(layer.get('output_shape')),
        'depthwise': layer.get('depthwise') is True,
        'macs': short(macs),
        'activations': short(number(layer, 'activations_m')),
        'access': short(access),
        'intensity': short(intensity),
        'attained': short(2 * macs / time) if macs and time else None,  # GFLOP/s
        'time': short(time),
        'bound': clean(layer.get('bound') or '\u2013'),
        'share': short(number(layer, 'share')),
    }


def _kernel(layer: dict) -> str:
    text = _times(layer.get('kernel'))
    groups = number(layer, 'groups')
    return f'{text}, {groups:g} groups' if text and (groups or 1) > 1 else text


def _times(sizes: object) -> str:
    return clean(' x '.join(map(str, sizes))) if isinstance(sizes, list) else ''


def _roofline(content: dict) -> dict | None:
    """Measured peaks in GFLOP/s and GB/s, and what they say of the whole network."""
    roofline = content.get('roofline')
    roofline = roofline if isinstance(roofline, dict) else {}
    peak = number(roofline, 'peak_gflops_per_s')
    bandwidth = number(roofline, 'bandwidth_gb_per_s')
    if not peak or not bandwidth:
        return None
    times = [number(layer, 'time_ms') for layer in _dicts(content, 'layers')]
    return {
        'peak': peak,
        'bandwidth': bandwidth,
        'peakText': f'{_peak(peak)} GFLOP/s',
        'bandwidthText': f'{_peak(bandwidth)} GB/s',
        'timed': sum(time or 0 for time in times),
        'text': _roofline_text(roofline, peak, bandwidth),
    }


def _peak(value: float) -> str:
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def _roofline_text(roofline: dict, peak: float, bandwidth: float) -> str:
    text = (
        f'The roof is what this device reached: {_peak(peak)} GFLOP/s and '
        f'{_peak(bandwidth)} GB/s. Under its slope memory is the limit, however few the '
        'operations. A layer above it had its maps in a cache or saves multiplications.'
    )
    share, bound = number(roofline, 'share'), number(roofline, 'bound_ms')
    if share is not None and bound is not None:
        text += (
            f' All layers of a run at the roof would take {format_number(bound, 2)} ms, '
            f'{100 * share:.0f} % of the measured forward time.'
        )
    elementwise = number(roofline, 'elementwise_bound_ms')
    if elementwise is not None:
        text += (
            f' All other operators need {format_number(elementwise, 2)} ms more for '
            'their memory when they run one by one.'
        )
    if roofline.get('method'):
        text += f' Method: {roofline["method"]}.'
    return clean(text)


def _no_roofline(row: Row) -> str:
    reasons = row.metrics.get('reasons')
    reason = reasons.get('roofline') if isinstance(reasons, dict) else None
    return clean(reason or 'No peaks were measured for this result.')


def _pairs(content: object) -> list[list[str]]:
    """Keys and values for reading; nested ones after their key."""
    pairs = []
    for key, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, dict):
            pairs += _pairs(value)
        elif value is not None:
            pairs.append([clean(key).replace('_', ' '), _value(value)])
    return pairs


def _value(value: object) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, list):
        return clean(', '.join(map(str, value)))
    return clean(value)
