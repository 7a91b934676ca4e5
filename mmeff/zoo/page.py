"""The page of the model zoo: one table a collection."""

from mmeff.zoo.collections import Collection

PAGE = 'docs/zoo.md'
HEAD = """\
<!-- Written by `python tools/model_index.py`; do not edit. -->

# Model zoo

Every config that comes with mmeff. Parameters and multiply-adds are those of
[fidelity-detectors.md](fidelity-detectors.md), for the classes of the data set and the
pixels in brackets. Accuracies and times are links to the file that holds them, and
[results](results.md) has the commands; a dash says that nothing was measured. Times are
medians of one image, in float32, run by PyTorch as mmdet does: of the network if the weights
were random, from the prepared image to boxes if they were trained (**bold**). No weights are
published: train them, or start the backbone from [public ones](weights.md).
"""
COLUMNS = ('config', 'epochs', 'params (M)', 'GMACs', 'measured accuracy', 'time (ms)')


def zoo_page(models: dict[Collection, list[dict]]) -> str:
    """The page as Markdown.

    Args:
        models: Entries of the metafiles.
    """
    parts = [HEAD]
    for collection, entries in models.items():
        parts.append(f'## {collection.name}\n')
        parts.append(
            f'[{collection.title}](https://arxiv.org/abs/{collection.arxiv}); '
            f'[about its networks]({collection.page}.md)\n'
        )
        parts.append(f'| {" | ".join(COLUMNS)} |\n|{"---|" * len(COLUMNS)}')
        parts += [f'| {" | ".join(_cells(entry))} |' for entry in entries]
        parts.append('')
    return '\n'.join(parts)


def _cells(entry: dict) -> tuple[str, ...]:
    metadata = entry['Metadata']
    params, macs = metadata.get('Parameters'), metadata.get('MACs (G)')
    counted = metadata.get('Counted', {}).get('resolution')
    return (
        f'[{entry["Name"]}](../{entry["Config"]})',
        str(metadata['Epochs']),
        '-' if params is None else f'{params / 1e6:.2f}',
        '-' if macs is None else f'{macs:g} {counted}',
        '<br>'.join(map(_accuracy, entry.get('Results', ()))) or '-',
        _time(metadata.get('inference time (ms/im)', ())) or '-',
    )


def _accuracy(result: dict) -> str:
    values = ', '.join(f'{name} {value}' for name, value in result['Metrics'].items())
    return f'{result["Dataset"]}: [{values}]({_link(result["file"])})'


def _time(times: list[dict]) -> str:
    plain = [
        f'[{mark}{time["value"]:.1f}{mark}]({_link(time["file"])})'
        for time in times
        if time['backend'] == 'PyTorch' and time['mode'] == 'FP32'
        for mark in ['**' if time['region'] == 'detect' else '']
    ]
    return '<br>'.join(plain)


def _link(file: str) -> str:
    return file.removeprefix('docs/')
