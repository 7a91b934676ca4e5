"""Links in the Markdown files, and the program that checks those of the built site."""

import pytest

from documents import DOCS, DOCUMENTS, load_script

check_links = load_script('check_links')


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_links_of_documents_lead_to_files(path):
    assert check_links.dead_links_of_markdown(path) == []


@pytest.fixture
def site(tmp_path):
    (tmp_path / 'a.html').write_text(
        '<a href="b.html#there">1</a> <a href="https://example.org/x">2</a>'
        '<img src="p.png"> <a href="#top">3</a> <h1 id="top">a</h1>'
    )
    (tmp_path / 'b.html').write_text('<h2 id="there">b</h2>')
    (tmp_path / 'p.png').write_bytes(b'')
    return tmp_path


def test_a_sound_site_has_no_dead_link(site, capsys):
    assert check_links.main([str(site)]) == 0
    assert capsys.readouterr().out == 'no dead link\n'


@pytest.mark.parametrize(
    ('link', 'page'),
    [
        ('<a href="c.html">', 'a.html'),
        ('<a href="b.html#elsewhere">', 'a.html'),
        ('<a href="#elsewhere">', 'b.html'),
        ('<img src="q.png">', 'b.html'),
    ],
)
def test_dead_links_are_found(site, link, page, capsys):
    path = site / page
    path.write_text(path.read_text() + link)
    assert check_links.main([str(site)]) == 1
    assert page in capsys.readouterr().out


def test_dead_links_in_markdown_are_found_but_not_in_code(tmp_path):
    path = tmp_path / 'page.md'
    path.write_text('[a](missing.md) `[b](code.md)`\n\n```\n[c](block.md)\n```\n')
    assert check_links.dead_links_of_markdown(path) == ['page.md: missing.md']


def test_every_drawing_is_drawn_by_the_script_and_shown_on_a_page():
    script = (DOCS / 'draw_blocks.py').read_text()
    text = ''.join(path.read_text('utf-8') for path in DOCUMENTS)
    drawings = sorted((DOCS / 'images' / 'blocks').glob('*.svg'))
    assert len(drawings) >= 11
    for path in drawings:
        assert f'def {path.stem}()' in script
        assert f'images/blocks/{path.name}' in text


def test_every_page_is_in_the_index():
    pages = {path.stem for path in DOCS.glob('*.md')} - {'index'}
    assert pages <= set((DOCS / 'index.md').read_text('utf-8').split())
