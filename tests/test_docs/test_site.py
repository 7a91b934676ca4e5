"""The site as `make docs` builds it, and as a browser shows it.

The browser needs Chromium (`apt-get install chromium`) and Playwright.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from documents import DOCS, ROOT, load_script
from processes import clean_env

pytestmark = pytest.mark.slow

WIDE, PHONE = {'width': 1280, 'height': 900}, {'width': 390, 'height': 844}
# Cells and lines of code scroll by themselves; nothing else may reach over the border.
OVER_THE_BORDER = """[...document.querySelectorAll('article *')].filter(
  e => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest('.table-wrapper') && !e.closest('pre')
).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"""


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    pytest.importorskip('sphinx', reason='pip install ".[docs]"')
    folder = tmp_path_factory.mktemp('site')
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-n', '-q']
        + ['-d', folder / 'doctrees', DOCS, folder / 'html'],
        env=clean_env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / 'html'


def test_it_builds_without_a_warning_and_has_no_dead_link(site):
    assert load_script('check_links').dead_links_of_site(site) == []


def test_every_document_is_a_page(site):
    documents = {p.stem for p in DOCS.glob('*.md')}
    assert documents <= {p.stem for p in site.glob('*.html')}


def test_files_that_are_linked_are_pages_of_their_own(site):
    page = site / 'files/mmeff/models/backbones/vovnet.py.html'
    assert 'One-shot aggregation' in page.read_text('utf-8')


@pytest.mark.parametrize(
    'room', ['backbones', 'dense_heads', 'detectors', 'layers', 'necks', 'task_modules']
)
def test_public_classes_are_in_the_api(site, room):
    text = (site / 'api' / 'models.html').read_text('utf-8')
    init = (ROOT / 'mmeff' / 'models' / room / '__init__.py').read_text()
    names = init.partition('__all__')[2].split("'")[1::2]
    assert names
    assert [name for name in names if f'.{name}"' not in text] == []


@pytest.mark.parametrize('size', [WIDE, PHONE], ids=['wide', 'phone'])
def test_pages_fit_the_screen_and_load_nothing_from_elsewhere(site, browser, size):
    page = browser.new_page(viewport=size)
    elsewhere, messages = [], []
    page.on('request', lambda r: r.url.startswith('file:') or elsewhere.append(r.url))
    page.on('console', lambda message: messages.append(message.text))
    for path in sorted(site.glob('*.html')):
        page.goto(path.as_uri())
        assert page.evaluate('document.documentElement.scrollWidth') <= size['width']
        assert page.evaluate(OVER_THE_BORDER) == [], path.name
    page.close()
    assert elsewhere == messages == []


def test_the_menu_of_a_phone_opens_and_leads_on(site, browser):
    page = browser.new_page(viewport=PHONE)
    page.goto((site / 'index.html').as_uri())
    page.locator('header .nav-overlay-icon').click()
    page.locator('.sidebar-tree a', has_text='Quickstart').click()
    assert page.locator('h1').inner_text().startswith('Quickstart')
    page.close()
