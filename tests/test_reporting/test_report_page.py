"""The page as text: complete in itself, and no name in it can become code."""

import json
import re
from html.parser import HTMLParser

import pytest

from mmeff.reporting.choose import choose
from mmeff.reporting.page import make_page
from mmeff.reporting.rows import make_report

from result_files import benchmark, evaluation, write

ATTACK = '</script><script>alert(1)</script><img src=x onerror=alert(2)>" onclick="a\''


class Tags(HTMLParser):
    """Collects start tags with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def named(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture
def attacked(tmp_path):
    """Every string of the result is an attack."""
    content = benchmark(ATTACK, weights='a', uncounted_ops={ATTACK: 1})
    content['metrics'].update(
        energy_j_per_img=None, reasons={'energy_j_per_img': ATTACK}
    )
    content['parts'][0]['name'] = content['layers'][0]['name'] = ATTACK
    content['layers'][0]['op'] = content['layers'][0]['bound'] = ATTACK
    content['layers'][0]['output_shape'] = [ATTACK]
    content['roofline']['method'] = content['environment']['cpu'] = ATTACK
    content['environment'][ATTACK] = ATTACK
    content['settings'].update(device=ATTACK, precision=ATTACK, image_shape=[ATTACK])
    write(tmp_path, a=content, c=benchmark('plain'))
    write(tmp_path, m=evaluation(ATTACK, 'a', bbox_mAP=0.3))
    report = make_report([tmp_path])
    return make_page(report, choose(report, 5))


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_names_stay_text(attacked):
    tags = Tags(attacked)
    assert len(tags.named('script')) == 2
    assert not tags.named('img')
    handlers = [name for _, attrs in tags.tags for name in attrs if name[:2] == 'on']
    assert not handlers
    assert attacked.count('</script>') == 2


def test_data_are_the_same_after_escaping(attacked):
    rows = data_of(attacked)['rows']
    (row,) = (row for row in rows if row['name'] == ATTACK)
    assert ATTACK in [layer['name'] for layer in row['layers']]
    assert row['parts']['names'][0] == ATTACK


def test_page_refers_to_nothing_outside(attacked):
    tags = Tags(attacked)
    for _, attrs in tags.tags:
        assert not {'src', 'srcset', 'action', 'style'} & attrs.keys()
    assert [attrs['href'] for attrs in tags.named('link')] == ['data:,']
    style = re.search(r'<style>(.*?)</style>', attacked, re.DOTALL)[1]
    assert 'url(' not in style
    assert '@import' not in style


def test_policy_forbids_all_but_this_script_and_style(attacked):
    (policy,) = (
        attrs['content']
        for attrs in Tags(attacked).named('meta')
        if attrs.get('http-equiv') == 'Content-Security-Policy'
    )
    assert "default-src 'none'" in policy
    assert 'unsafe' not in policy


def test_script_never_makes_html_of_text(attacked):
    script = attacked.rpartition('<script>')[2]
    for word in ('innerHTML', 'outerHTML', 'insertAdjacentHTML', 'document.write'):
        assert word not in script
    assert 'eval(' not in script


def test_table_is_there_without_script(tmp_path):
    write(tmp_path, a=benchmark('net', weights='a'), b=benchmark('net', device='cpu'))
    page = make_page(make_report([tmp_path]))
    text = page.partition('<table')[2].partition('</table>')[0]
    assert text.count('<tr data-row') == 2
    assert 'NVIDIA H100 80GB HBM3, fp32, batch 1' in text
    assert '<td data-v="100.0">100.0</td>' in text
    assert '<li>no energy counter: /sys/class/powercap is empty</li>' in page


def test_layers_have_intensity_and_speed(tmp_path):
    write(tmp_path, a=benchmark('net'), b=benchmark('net', precision='amp-fp16'))
    half, full = data_of(make_page(make_report([tmp_path])))['rows']
    layers = {layer['name']: layer for layer in full['layers']}
    dense = layers['backbone.stage1.0']
    # 900 M MACs, 3.3 M elements of four bytes, 2.1 ms
    assert dense['intensity'] == pytest.approx(1800 / 13.2, rel=1e-5)
    assert dense['attained'] == pytest.approx(1800 / 2.1, rel=1e-5)
    assert full['layers'][0] == dense  # the slowest first
    same = next(layer for layer in half['layers'] if layer['name'] == dense['name'])
    assert same['intensity'] == pytest.approx(2 * dense['intensity'], rel=1e-5)


def test_results_without_layers_and_peaks_make_a_page(tmp_path):
    bare = {**benchmark(), 'layers': [], 'parts': [], 'roofline': None}
    bare['metrics']['latency_detect_ms'] = bare['metrics']['fps'] = None
    write(tmp_path, a=bare)
    (row,) = data_of(make_page(make_report([tmp_path])))['rows']
    assert row['roofline'] is None
    assert row['layers'] == []


def test_evaluations_alone_make_a_page(tmp_path):
    write(tmp_path, metrics=evaluation(bbox_mAP=0.4))
    page = make_page(make_report([tmp_path]))
    assert 'No benchmark is among the files' in page
    assert '40.0' in page
