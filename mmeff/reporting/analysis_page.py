"""One HTML page of an analysis: tables, and the figures inside of it; no script at all."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from mmeff.reporting.analysis import class_lines, error_lines
from mmeff.reporting.rows import clean
from mmeff.version import __version__

STYLE = (
    'body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:60rem;margin:2rem auto;'
    'padding:0 1rem}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;'
    'border-bottom:1px solid #ddd;text-align:right;font-variant-numeric:tabular-nums}'
    'td:first-child,th:first-child{text-align:left}img{max-width:100%}'
)
# Nothing is fetched and nothing can run, whatever a class is called.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def make_analysis_page(content: dict, figures: Sequence[Path]) -> str:
    """The page as text, UTF-8 when written.

    Args:
        content: Of `apis.analyze`.
        figures: PNG files to put in.
    """
    title = f'{Path(content["predictions"]).name}: what was found'
    stats = ', '.join(
        f'{name} {value:.3f}'
        for name, value in content['stats'].items()
        if value is not None
    )
    lead = f'{content["images"]} images, {content["all"]["objects"]} objects. {stats}'
    notes = ''.join(f'<li>{escape(clean(note))}</li>' for note in content['notes'])
    pictures = ''.join(
        f'<p><img alt="{path.stem}" src="data:image/png;base64,'
        f'{base64.b64encode(path.read_bytes()).decode()}"></p>'
        for path in figures
    )
    parts = [
        f'<h1>{escape(clean(title))}</h1><p>{escape(lead)}</p><ul>{notes}</ul>',
        f'<h2>Classes</h2>{_table(class_lines(content))}',
        f'<h2>Errors</h2>{_table(error_lines(content))}{pictures}',
        f'<p>Made by mmeff {escape(__version__)}.</p>',
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<title>{escape(clean(title))}</title><style>{STYLE}</style></head>'
        f'<body>{"".join(parts)}</body></html>\n'
    )


def _table(lines: Sequence[Sequence[str]]) -> str:
    head = ''.join(f'<th scope="col">{escape(text)}</th>' for text in lines[0])
    body = ''.join(
        f'<tr>{"".join(f"<td>{escape(text)}</td>" for text in line)}</tr>'
        for line in lines[1:]
    )
    return f'<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
