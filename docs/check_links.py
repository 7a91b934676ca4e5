"""Check links of a built site and of Markdown files: `check_links.py SITE [FILE.md ...]`.

Prints each dead one and ends with status 1. A link is dead if its file, or the place in
it, is not there. Links to other hosts are not looked at: that would need a network.
"""

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

CODE = re.compile(r'^( *)(```+|~~~+).*?^\1\2|`[^`\n]*`', re.MULTILINE | re.DOTALL)
LINK = re.compile(r'\]\(([^)\s]+)[^)]*\)')


class Page(HTMLParser):
    """Links and their targets of an HTML file.

    Attributes:
        links: Values of `href` and `src`.
        places: Values of `id` and `name`, which links can lead to.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text('utf-8'))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ('href', 'src') and value:
                self.links.append(value)
            elif key in ('id', 'name') and value:
                self.places.add(value)


read_page = cache(Page)


def dead_links_of_site(site: Path) -> list[str]:
    """Dead links of all pages below a folder, as 'page: link'."""
    dead = []
    for path in sorted(site.rglob('*.html')):
        for link in read_page(path).links:
            target, place = _target(link, path)
            if target is None:
                continue
            there = target.is_file() and (
                not place
                or target.suffix != '.html'
                or place in read_page(target).places
            )
            if not there:
                dead.append(f'{path.relative_to(site)}: {link}')
    return dead


def dead_links_of_markdown(path: Path) -> list[str]:
    """Links of a Markdown file to files that are not there, as 'file: link'."""
    text = CODE.sub('', path.read_text('utf-8'))
    targets = {link: _target(link, path)[0] for link in LINK.findall(text)}
    return [
        f'{path.name}: {link}'
        for link, target in targets.items()
        if target is not None and not target.exists()
    ]


def _target(link: str, source: Path) -> tuple[Path | None, str]:
    """File and place that a link leads to; no file if it leads to another host."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None, ''
    target = source.parent / unquote(parts.path) if parts.path else source
    return target.resolve(), unquote(parts.fragment)


def main(argv: list[str]) -> int:
    site, *files = map(Path, argv)
    dead = dead_links_of_site(site)
    for path in files:
        dead += dead_links_of_markdown(path)
    print('\n'.join(f'dead link in {line}' for line in dead) or 'no dead link')
    return 1 if dead else 0


if __name__ == '__main__':
    raise SystemExit(main(sys.argv[1:]))
