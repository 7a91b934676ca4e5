"""Sphinx extension: files of the repository that pages link to become pages.

A link such as `../mmeff/models/backbones/vovnet.py` leads to the file's text, coloured,
in place of a download; one to a folder becomes plain text. A link to what is not there stays
what it was, and Sphinx warns about it. Links between Markdown files at the root lead to the
pages that show them.
"""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {
    'CHANGELOG.md': 'changelog',
    'CONTRIBUTING.md': 'contributing',
    'README.md': 'index',
    'SECURITY.md': 'security',
}
LEXERS = {'.py': 'python', '.toml': 'toml', '.json': 'json'}


class LinkFiles(SphinxTransform):
    """Turn links to files of the repository into links of the site."""

    default_priority = 10

    def apply(self, **_: Any) -> None:
        for kind in (pending_xref, download_reference):
            for node in list(self.document.findall(kind)):
                path = self._path(node)
                if path is not None:
                    self._replace(node, path)

    def _path(self, node: nodes.Element) -> Path | None:
        """What a link leads to, from its page or, if that is included, from the root."""
        here = Path(self.env.srcdir, Path(self.env.docname).parent)
        if node.get('refdomain') == 'doc':  # Markdown, named without its suffix
            path = (here / f'{node["reftarget"]}.md').resolve()
            return path if path.parent == ROOT and path.exists() else None
        paths = [(base / node['reftarget']).resolve() for base in (here, ROOT)]
        return next((p for p in paths if p.exists() and ROOT in p.parents), None)

    def _replace(self, node: nodes.Element, path: Path) -> None:
        name = path.relative_to(ROOT).as_posix()
        if path.is_dir():
            node.replace_self(node.children)
        elif name in ROOT_PAGES:
            self._link(node, f'{ROOT_PAGES[name]}.html')
        elif path.suffix in LEXERS:
            self.env.metadata[self.env.docname].setdefault('files', []).append(name)
            self._link(node, f'files/{name}.html')

    def _link(self, node: nodes.Element, target: str) -> None:
        here = posixpath.dirname(self.env.docname) or '.'
        uri = posixpath.relpath(target, here)
        link = nodes.reference('', '', *node.children, refuri=uri, internal=True)
        node.replace_self(link)


def pages(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """Name, context and template of a page for each file that was linked."""
    metadata = app.env.metadata.values()
    for name in sorted({name for page in metadata for name in page.get('files', ())}):
        path = ROOT / name
        body = app.builder.highlighter.highlight_block(
            path.read_text('utf-8'), LEXERS[path.suffix], linenos=False
        )
        yield (
            f'files/{name}',
            {'title': name, 'body': f'<h1>{name}</h1>{body}'},
            'page.html',
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(LinkFiles)
    app.connect('html-collect-pages', pages)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
