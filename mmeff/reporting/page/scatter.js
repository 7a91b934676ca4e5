// The chart of all models of one setup, with axes to choose and its Pareto front.

function onFront(points, bestX, bestY) {
  const signX = bestX === 'high' ? 1 : -1;
  const signY = bestY === 'high' ? 1 : -1;
  const beats = (a, b) => {
    const dx = signX * (a.vx - b.vx);
    const dy = signY * (a.vy - b.vy);
    return dx >= 0 && dy >= 0 && (dx > 0 || dy > 0);
  };
  return points.filter((point) => !points.some((other) => beats(other, point)));
}

const rank = (values) => values.map((value) => {
  const below = values.filter((other) => other < value).length;
  const equal = values.filter((other) => other === value).length;
  return below + (equal - 1) / 2;
});

// Spearman's coefficient: 1 when x puts models in the same order as y.
function rankCorrelation(points) {
  const [a, b] = [rank(points.map((p) => p.vx)), rank(points.map((p) => p.vy))];
  const middle = (points.length - 1) / 2;
  const sum = (u, v) => u.reduce((total, value, i) => total + (value - middle) * (v[i] - middle), 0);
  return points.length < 3 ? NaN : sum(a, b) / Math.sqrt(sum(a, a) * sum(b, b));
}

function chartPoints() {
  const words = queryWords();
  const [x, y] = [Number(byId('x').value), Number(byId('y').value)];
  return data.rows
    .map((row, index) => ({ row, index, vx: row.values[x], vy: row.values[y] }))
    .filter(({ row, vx, vy }) => isNumber(vx) && isNumber(vy) && inSetup(row) && matches(row, words))
    .filter(({ vx }) => !byId('log').checked || vx > 0);
}

function describe(axes, front, points) {
  const rho = rankCorrelation(points);
  const count = points.length === 1 ? '1 model' : `${points.length} models`;
  if (!axes.y.evaluated && !axes.x.evaluated) {
    return `${count}${isNumber(rho) ? `; rank correlation ${rho.toFixed(2)}` : ''}`;
  }
  return `${count}; the line joins the ${front.length} that no other beats in both (Pareto front)`;
}

function drawScatter() {
  hideTip();
  const place = byId('scatter');
  const axes = { x: data.axes[byId('x').value], y: data.axes[byId('y').value] };
  const points = chartPoints();
  if (!points.length) {
    place.replaceChildren(el('p', { class: 'note' }, 'No model here has both numbers.'));
    byId('scatter-note').textContent = '';
    return;
  }
  const width = Math.max(place.clientWidth, 280);
  const height = Math.round(Math.max(300, Math.min(460, 0.55 * width)));
  const box = { left: 46, top: 34, right: width - 12, bottom: height - 46 };
  const x = makeScale(points.map((p) => p.vx), box.left, box.right, byId('log').checked);
  const y = makeScale(points.map((p) => p.vy), box.bottom, box.top, false);
  const root = makeFrame(width, height, box, x, y, { x: `${axes.x.title}, ${axes.x.best === 'high' ? '\u2192' : '\u2190'} better`, y: `${axes.y.title}, ${axes.y.best === 'high' ? '\u2191' : '\u2193'} better` }, `${axes.y.short} against ${axes.x.short}`);
  place.replaceChildren(root);
  const compared = axes.x.evaluated || axes.y.evaluated;
  const front = compared ? onFront(points, axes.x.best, axes.y.best).sort((a, b) => a.vx - b.vx) : [];
  const path = front.map((p) => `${x.at(p.vx)},${y.at(p.vy)}`).join(' ');
  root.append(svg('polyline', { class: 'front', points: path }));
  const marks = points.map((p) => ({
    ...p,
    x: x.at(p.vx),
    y: y.at(p.vy),
    name: p.row.name,
    kind: `${front.includes(p) || !compared ? 'on-front' : ''} ${p.index === chosen ? 'chosen' : ''}`,
  }));
  for (const mark of marks) {
    const lines = [mark.name, `${axes.y.title}: ${show(mark.vy)}`, `${axes.x.title}: ${show(mark.vx)}`];
    const node = svg('circle', { class: `point ${mark.kind}`, cx: mark.x, cy: mark.y, r: 6, tabindex: 0, role: 'button', 'data-row': mark.index });
    onPress(node, () => choose(mark.index));
    root.append(withTip(node, lines));
  }
  const important = (mark) => (mark.index === chosen) * 2 + front.some((p) => p.index === mark.index);
  placeLabels(root, [...marks].sort((a, b) => important(b) - important(a)), box, 6, axes.x.best !== axes.y.best);
  byId('scatter-note').textContent = describe(axes, front, points);
}
