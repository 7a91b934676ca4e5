"""The page as people use it, in a headless Chromium.

Needs Chromium (`apt-get install chromium`) and Playwright's Python package, which drives
it. The picture in the docs is made from the results in a folder by
`MMEFF_SCREENSHOT=docs/results pytest -k picture tests/test_reporting`.
"""

import os
from pathlib import Path

import pytest
from PIL import Image

from mmeff.reporting.choose import choose
from mmeff.reporting.page import make_page
from mmeff.reporting.rows import make_report

from result_files import benchmark, evaluation, write

PICTURE = Path(__file__).parents[2] / 'docs' / 'images' / 'report.png'
WIDE, PHONE = {'width': 1200, 'height': 900}, {'width': 375, 'height': 800}
ATTACK = '</script><img src=x onerror=alert(1)>'
# name: latency on the GPU (ms), box AP (0 to 1), GMACs
MODELS = {
    'small': (8, 0.30, 0.5),
    'middle': (10, 0.35, 2.0),
    'beaten': (12, 0.32, 1.0),
    'large': (20, 0.38, 4.0),
    ATTACK: (25, 0.20, 3.0),
}


@pytest.fixture(scope='module')
def file(tmp_path_factory) -> Path:
    """A page of five models on a GPU, two of them on a CPU too."""
    folder = tmp_path_factory.mktemp('results')
    for index, (name, (latency, accuracy, macs)) in enumerate(MODELS.items()):
        weights, where = str(index), folder / str(index)
        options = {'weights': weights, 'macs_g': macs}
        write(where, gpu=benchmark(name, latency_ms=latency, **options))
        write(where, metrics=evaluation(name, weights, bbox_mAP=accuracy))
        if index < 2:
            slow = benchmark(name, latency_ms=10 * latency, device='cpu', **options)
            write(where, cpu=slow)
    report = make_report([folder])
    path = folder / 'report.html'
    path.write_text(make_page(report, choose(report, 10)), 'utf-8')
    return path


@pytest.fixture
def open_page(browser, file):
    """open_page(viewport, scheme) -> page; fails if it complains or asks the network."""
    complaints, requests, contexts = [], [], []

    def open_it(viewport=WIDE, scheme='light', path=file, **options):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on('console', lambda message: complaints.append(message.text))
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.on('dialog', lambda dialog: complaints.append(dialog.message))
        page.on('request', lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith(('file:', 'data:')) for url in requests)


def names(page) -> list[str]:
    """Names in the rows of the table that can be seen."""
    return page.locator('#measurements tbody tr:visible th button').all_inner_texts()


def points(page) -> dict[str, tuple[float, float]]:
    """{name: (x, y) in pixels} of the chart."""
    circles = page.locator('#scatter circle').all()
    return {
        circle.get_attribute('aria-label').partition(', ')[0]: tuple(
            float(circle.get_attribute(key)) for key in ('cx', 'cy')
        )
        for circle in circles
    }


def head(page, title):
    return page.locator('#measurements thead th', has_text=title).first


def test_headers_sort_by_mouse_and_keyboard(open_page):
    page = open_page()
    assert names(page) == list(MODELS)  # the fastest first
    head(page, 'box AP').get_by_role('button').click()
    assert head(page, 'box AP').get_attribute('aria-sort') == 'descending'
    assert names(page) == ['large', 'middle', 'beaten', 'small', ATTACK]
    head(page, 'GMACs').get_by_role('button').focus()
    page.keyboard.press('Enter')
    assert head(page, 'GMACs').get_attribute('aria-sort') == 'ascending'
    assert head(page, 'box AP').get_attribute('aria-sort') is None
    assert names(page) == ['small', 'beaten', 'middle', ATTACK, 'large']
    page.keyboard.press('Space')
    assert names(page) == ['large', ATTACK, 'middle', 'beaten', 'small']


def test_filter_leaves_matching_models_in_table_and_chart(open_page):
    page = open_page()
    page.locator('#filter').fill('nvidia MID')
    assert names(page) == ['middle']
    assert list(points(page)) == ['middle']
    assert page.locator('#count').inner_text() == '1 of 7'
    page.locator('#filter').fill('nothing like it')
    assert names(page) == []
    assert 'No model' in page.locator('#scatter').inner_text()


def test_chart_follows_its_axes_and_marks_the_front(open_page):
    page = open_page()
    found = points(page)
    assert found['small'][0] > found['large'][0]  # more FPS on the right
    assert found['small'][1] > found['large'][1]  # less AP below
    front = page.locator('#scatter circle.on-front')
    labels = [circle.get_attribute('aria-label') for circle in front.all()]
    assert {label.partition(', ')[0] for label in labels} == {
        'small',
        'middle',
        'large',
    }
    page.locator('#x').select_option(label='latency (ms)')
    assert points(page)['small'][0] < points(page)['large'][0]
    page.locator('#y').select_option(label='GMACs')
    assert points(page)['small'][1] > points(page)['large'][1]
    # ranks of GMACs 0 2 1 4 3 against 0 1 2 3 4 of latency: 1 - 6 * 4 / (5 * 24)
    assert 'rank correlation 0.80' in page.locator('#scatter-note').inner_text()
    before = points(page)
    page.locator('#log').check()
    assert points(page) != before


def test_devices_are_shown_apart(open_page):
    page = open_page()
    assert page.locator('#setup option:checked').inner_text().startswith('NVIDIA')
    page.locator('#setup').select_option(index=0)
    assert names(page) == ['small', 'middle']
    assert set(points(page)) == {'small', 'middle'}
    page.locator('#every').check()
    assert len(names(page)) == 7
    assert set(points(page)) == {'small', 'middle'}


def test_columns_without_a_number_on_a_device_are_hidden(open_page):
    page = open_page()
    assert not head(page, 'peak RSS').is_visible()
    page.locator('#setup').select_option(index=0)
    assert head(page, 'peak RSS').is_visible()
    assert not head(page, 'energy').is_visible()


def test_a_model_is_chosen_in_table_chart_and_list(open_page):
    page = open_page()
    page.get_by_role('button', name='large', exact=True).click()
    assert page.locator('#model option:checked').inner_text() == 'large'
    assert '4.00 GMACs' in page.locator('#facts').inner_text().replace('\n', ' ')
    assert page.locator('#layers tbody tr').count() == 5
    assert page.locator('#parts .bar-line').count() == 6
    assert page.locator('#roofline .layer').count() == 5
    page.locator('#scatter circle[aria-label^="beaten"]').focus()
    assert 'beaten' in page.locator('#tip').inner_text()
    page.keyboard.press('Enter')
    assert page.locator('#model option:checked').inner_text() == 'beaten'
    page.locator('#model').select_option(label='small')
    assert page.locator('tr.chosen th button').inner_text() == 'small'


def test_layers_sort_and_points_tell_what_they_are(open_page):
    page = open_page()
    first = page.locator('#layers tbody th').first
    assert first.inner_text() == 'backbone.stage1.0'  # the slowest
    page.locator('#layers thead button', has_text='MACs').click()
    page.locator('#layers thead button', has_text='MACs').click()
    assert first.inner_text() == 'bbox_head.cls'  # the fewest
    page.locator('#roofline .layer').first.hover()
    tip = page.locator('#tip').inner_text()
    for text in ('backbone.stage1.0', 'GFLOP/s', 'FLOP/byte', 'bound by compute'):
        assert text in tip


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_phone_has_no_sideways_scrolling(open_page, scheme):
    page = open_page(PHONE, scheme)
    assert page.evaluate('document.documentElement.scrollWidth') == PHONE['width']
    box = page.locator('.scroll').first
    assert box.evaluate('node => node.scrollWidth > node.clientWidth')
    chart = page.locator('#scatter svg').bounding_box()
    assert chart['x'] >= 0
    assert chart['x'] + chart['width'] <= PHONE['width']


def test_charts_follow_the_width_of_the_window(open_page):
    page = open_page()
    before = page.locator('#scatter svg').get_attribute('viewBox')
    page.set_viewport_size(PHONE)
    page.wait_for_function(
        'old => document.querySelector("#scatter svg").getAttribute("viewBox") !== old',
        arg=before,
    )
    assert page.evaluate('document.documentElement.scrollWidth') == PHONE['width']


def test_dark_is_dark(open_page):
    def brightness(page):
        colour = page.evaluate('getComputedStyle(document.body).backgroundColor')
        return sum(int(part.strip('rgb( )')) for part in colour.split(','))

    assert brightness(open_page(scheme='dark')) < 150
    assert brightness(open_page(scheme='light')) > 600


def test_without_script_the_table_is_there(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator('#measurements tbody tr').count() == 7
    assert page.locator('#chart').is_hidden()
    assert page.get_by_text('need JavaScript').is_visible()


@pytest.mark.parametrize('kind', ['evaluation alone', 'no times', 'no numbers'])
def test_page_with_little_in_it_works(open_page, tmp_path, kind):
    bare = {**benchmark(), 'layers': [], 'parts': [], 'roofline': None}
    content = {
        'evaluation alone': evaluation(bbox_mAP=0.4),
        'no times': {**bare, 'metrics': {'params_m': 3.5}},
        'no numbers': {**bare, 'metrics': {}},
    }[kind]
    report = make_report([write(tmp_path, a=content)])
    (tmp_path / 'report.html').write_text(make_page(report), 'utf-8')
    page = open_page(path=tmp_path / 'report.html')
    assert names(page) == ['net']
    assert page.locator('#inside').is_visible()


HOSTILE = (
    '</script><script>document.title="owned"</script>',
    '"><svg/onload=document.title="owned"><iframe srcdoc="<script>1</script>">',
    "javascript:document.title='owned'",
    '<base href="http://127.0.0.1:9/"><link rel=stylesheet href=a><img src=a>',
    '<!--${script}$style]]><style>*{display:none}</style>\u2028\u202e\x00',
    '__proto__',
)


def filled(content, text: str):
    """The content with one text in place of all its texts, and as another key."""
    if isinstance(content, str):
        return text
    if isinstance(content, list):
        return [filled(value, text) for value in content]
    if isinstance(content, dict):
        return {
            **{key: filled(value, text) for key, value in content.items()},
            text: text,
        }
    return content


@pytest.mark.parametrize('text', HOSTILE)
def test_nothing_of_a_hostile_result_runs(open_page, tmp_path, text):
    """`open_page` fails on a dialog, a message of the policy or a request."""
    for number in range(3):
        content = filled(benchmark(latency_ms=5 + number), text)
        content['checkpoint_sha256'] = str(number)
        content['settings']['image_shape'] = [number, text]
        write(tmp_path, **{f'hostile{number}': content})
    report = make_report([write(tmp_path, plain=benchmark('plain'))])
    path = tmp_path / 'report.html'
    path.write_text(make_page(report, choose(report, 10)), 'utf-8')
    page = open_page(path=path)
    for index in range(4):
        page.locator('#model').select_option(index=index)
    page.locator('#filter').fill(text[:20].replace('\x00', ''))
    page.locator('#every').check()
    assert 'owned' not in page.title()
    assert page.locator('#measurements').is_visible()
    assert page.locator('script:not([type])').count() == 1
    for tag in (
        'iframe',
        'base',
        'link[rel=stylesheet]',
        'img',
        'object',
        'form',
        'a[href^="java"]',
    ):
        assert page.locator(tag).count() == 0


@pytest.mark.skipif(
    not os.environ.get('MMEFF_SCREENSHOT'), reason='MMEFF_SCREENSHOT is not set'
)
def test_picture_for_the_docs(open_page, tmp_path):
    """Of the results in the folder that MMEFF_SCREENSHOT names."""
    report = make_report([os.environ['MMEFF_SCREENSHOT']])
    path = tmp_path / 'report.html'
    path.write_text(make_page(report), 'utf-8')
    page = open_page(path=path)
    shot = tmp_path / 'report.png'
    end = page.locator('#layers').bounding_box()['y']  # what follows is only long
    clip = {'x': 0, 'y': 0, 'width': WIDE['width'], 'height': end}
    page.screenshot(path=shot, full_page=True, clip=clip)
    PICTURE.parent.mkdir(exist_ok=True)
    # flat colours: a palette loses nothing that the eye sees
    image = Image.open(shot).convert('RGB').quantize(128, dither=Image.Dither.NONE)
    image.save(PICTURE, optimize=True)
    assert PICTURE.stat().st_size < 150_000
