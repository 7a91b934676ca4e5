// Layers under the roof that the device's measured peaks put over them.

const KINDS = ['dense convolution', 'depthwise convolution', 'other'];
const KIND_COLOURS = ['c0', 'c5', 'c2'];

function layerKind(layer) {
  if (layer.depthwise) return 1;
  return layer.op.includes('conv') ? 0 : 2;
}

function shape(kind, x, y, r) {
  if (kind === 1) return svg('path', { d: `M${x} ${y - 1.2 * r}L${x + 1.1 * r} ${y + 0.8 * r}H${x - 1.1 * r}Z` });
  if (kind === 2) return svg('rect', { x: x - 0.85 * r, y: y - 0.85 * r, width: 1.7 * r, height: 1.7 * r });
  return svg('circle', { cx: x, cy: y, r });
}

function layerLines(layer, roof) {
  return [
    layer.name || '(no module)',
    `${layer.op} ${layer.kernel}, output ${layer.shape}`,
    `${show(layer.attained)} GFLOP/s at ${show(layer.intensity)} FLOP/byte`,
    `${show(layer.time, 'ms')}, ${percent(layer.time / roof.timed)} of all layers`,
    `bound by ${layer.bound}, ${percent(layer.share)} of the bound reached`,
  ];
}

function drawRoof(root, x, y, box, roof) {
  const ridge = roof.peak / roof.bandwidth;
  const at = (intensity) => `${x.at(intensity)},${y.at(Math.min(roof.peak, roof.bandwidth * intensity))}`;
  const corner = [x.low, ...(ridge > x.low && ridge < x.high ? [ridge] : []), x.high];
  root.append(svg('polyline', { class: 'roof', points: corner.map(at).join(' ') }));
  const peakText = svg('text', { x: box.right, y: y.at(roof.peak) - 7, 'text-anchor': 'end' }, roof.peakText);
  root.append(peakText);
  if (ridge > x.low && ridge < x.high) {
    root.append(svg('line', { class: 'ridge', x1: x.at(ridge), x2: x.at(ridge), y1: y.at(roof.peak), y2: box.bottom }));
    const where = Math.sqrt(x.low * ridge);
    const [px, py] = [x.at(where), y.at(roof.bandwidth * where)];
    const slope = (Math.atan2(y.at(roof.peak) - y.at(roof.bandwidth * x.low), x.at(ridge) - x.at(x.low)) * 180) / Math.PI;
    root.append(svg('text', { x: px, y: py - 7, 'text-anchor': 'middle', transform: `rotate(${slope} ${px} ${py})` }, roof.bandwidthText));
  }
}

function drawRoofline(row) {
  const place = byId('roofline');
  const roof = row.roofline;
  const layers = row.layers.filter((l) => l.intensity > 0 && l.attained > 0 && l.time > 0);
  if (!roof || !layers.length) {
    place.replaceChildren(...(row.layers.length ? heading('Roofline', row.rooflineReason) : []));
    return;
  }
  const figure = el('div', { class: 'figure' });
  const used = KINDS.map((name, kind) => [name, kind]).filter(([, kind]) => layers.some((l) => layerKind(l) === kind));
  const legend = used.map(([name, kind]) => {
    const sample = svg('svg', { class: `swatch ${KIND_COLOURS[kind]}`, viewBox: '-7 -7 14 14' }, shape(kind, 0, 0, 5));
    return el('span', {}, sample, name);
  });
  place.replaceChildren(
    ...heading('Roofline', roof.text),
    el('div', { class: 'legend' }, ...legend, el('span', {}, 'area: share of the time')),
    figure,
  );
  const width = Math.max(figure.clientWidth, 280);
  const height = Math.round(Math.max(300, Math.min(440, 0.5 * width)));
  const box = { left: 46, top: 34, right: width - 12, bottom: height - 46 };
  const ridge = roof.peak / roof.bandwidth;
  const intensities = [...layers.map((l) => l.intensity), ridge / 2, ridge * 2];
  const x = makeScale(intensities, box.left, box.right, true);
  const y = makeScale([...layers.map((l) => l.attained), roof.peak], box.bottom, box.top, true);
  const root = makeFrame(width, height, box, x, y, { x: 'intensity (FLOP/byte)', y: 'GFLOP/s' }, 'roofline');
  figure.append(root);
  const clip = svg('clipPath', { id: 'inside-roof' }, svg('rect', { x: box.left, y: 0, width: box.right - box.left, height: box.bottom }));
  const group = svg('g', { 'clip-path': 'url(#inside-roof)' });
  root.append(clip, group);
  drawRoof(group, x, y, box, roof);
  for (const layer of [...layers].sort((a, b) => b.time - a.time)) {
    const radius = Math.max(3.5, 34 * Math.sqrt(layer.time / roof.timed));
    const kind = layerKind(layer);
    const node = shape(kind, x.at(layer.intensity), y.at(layer.attained), radius);
    node.setAttribute('class', `layer ${KIND_COLOURS[kind]}`);
    node.setAttribute('tabindex', 0);
    node.setAttribute('role', 'img');
    root.append(withTip(node, layerLines(layer, roof)));
  }
}
