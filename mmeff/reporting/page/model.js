// One model: facts, shares of its parts, layers, machine.

const COLOURS = 7;
const colour = (index) => `c${Math.min(index, COLOURS - 1)}`;

function heading(text, note) {
  return [el('h3', {}, text), ...(note ? [el('p', { class: 'note' }, note)] : [])];
}

function drawFacts(row) {
  const tiles = row.tiles.map(([title, value, unit]) =>
    el('div', {}, el('dt', {}, title), el('dd', {}, value, ' ', el('small', {}, unit))));
  const nodes = [el('dl', { class: 'tiles' }, ...tiles)];
  if (row.latencies.length) {
    const columns = ['region', 'mean', 'median', 'p90', 'p99', 'min', 'max', 'spread of rounds', 'runs']
      .map((title, i) => ({ title, text: i === 0, percent: title.startsWith('spread'), unit: i && i < 7 ? 'ms' : '' }));
    nodes.push(el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'latency by region' }, makeTable(columns, row.latencies)));
  }
  if (row.remark) nodes.push(el('p', { class: 'note' }, row.remark));
  byId('facts').replaceChildren(...nodes);
}

// A bar for each measure, cut into the shares of the parts.
function drawParts(row) {
  const place = byId('parts');
  const { names, measures } = row.parts;
  if (!names.length) {
    place.replaceChildren();
    return;
  }
  const legend = names.map((name, i) => el('span', {}, el('i', { class: colour(i) }), name));
  const bars = measures.map(({ title, unit, values }) => {
    const total = values.reduce((sum, value) => sum + (value || 0), 0);
    const pieces = values.map((value, i) => {
      if (!value || value < 0) return null;
      const piece = withTip(el('span', { class: colour(i), tabindex: 0, role: 'img' }),
        [names[i], `${title}: ${show(value, unit)}`, `${percent(value / total)} of all parts`]);
      piece.style.flex = `${value / total} 1 0`;
      return piece;
    });
    return el('div', { class: 'bar-line' }, el('span', {}, title), el('div', { class: 'bar' }, ...pieces.filter(Boolean)), el('b', {}, show(total, unit)));
  });
  place.replaceChildren(...heading('Where it goes', 'Share of each part. Where a part has more of the time than of the operations, operations do not tell its speed. Times are of runs made for that, operator by operator.'),
    el('div', { class: 'legend' }, ...legend), ...bars);
}

const LAYER_COLUMNS = [
  { title: 'layer', text: true }, { title: 'operator', text: true }, { title: 'kernel', text: true },
  { title: 'output', text: true }, { title: 'MACs', unit: 'M', best: 'high' },
  { title: 'activations', unit: 'M', best: 'high' }, { title: 'memory access', unit: 'M', best: 'high' },
  { title: 'intensity', unit: 'FLOP/byte' }, { title: 'time', unit: 'ms', best: 'high' },
  { title: 'bound by', text: true }, { title: 'share of bound', percent: true },
];

function drawLayers(row) {
  if (!row.layers.length) {
    byId('layers').replaceChildren();
    return;
  }
  const lines = row.layers.map((l) => [l.name, l.op, l.kernel, l.shape, l.macs, l.activations, l.access, l.intensity, l.time, l.bound, l.share]);
  byId('layers').replaceChildren(...heading(`${lines.length} layers`),
    el('div', { class: 'scroll tall', tabindex: 0, role: 'region', 'aria-label': 'layers' }, makeTable(LAYER_COLUMNS, lines)));
}

function drawEnvironment(row) {
  const list = (pairs) => el('dl', { class: 'facts' }, ...pairs.map(([key, value]) => el('div', {}, el('dt', {}, key), el('dd', {}, value))));
  const nodes = row.settings.length ? [...heading('Settings'), list(row.settings)] : [];
  if (row.environment.length) nodes.push(...heading('Machine and software'), list(row.environment));
  nodes.push(...heading('Files'), ...row.files.map((file) => el('p', { class: 'note' }, file)));
  byId('environment').replaceChildren(...nodes);
}

function drawModel() {
  const row = data.rows[chosen];
  drawFacts(row);
  drawParts(row);
  drawRoofline(row);
  drawLayers(row);
  drawEnvironment(row);
}
