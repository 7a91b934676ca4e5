// Scales and the frame of a chart.

function linearTicks(low, high) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-9); i += 1) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const factors = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e += 1) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** e).toPrecision(6));
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

// Maps numbers to pixels from..to; a tenth of the range is free at both ends.
function makeScale(values, from, to, log) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const change = log ? Math.log : (value) => value;
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2];
  const free = 0.1 * (change(high) - change(low));
  const back = log ? Math.exp : (value) => value;
  const positive = low >= 0;
  [low, high] = [back(change(low) - free), back(change(high) + free)];
  if (!log && positive) low = Math.max(low, 0);
  const at = (value) => from + ((change(value) - change(low)) / (change(high) - change(low))) * (to - from);
  return { at, low, high, ticks: log ? logTicks(low, high) : linearTicks(low, high) };
}

// An SVG with grid, ticks and titles; `box` has left, top, right, bottom in pixels.
function makeFrame(width, height, box, x, y, titles, label) {
  const root = svg('svg', { viewBox: `0 0 ${width} ${height}`, height, role: 'group', 'aria-label': label });
  let last = -Infinity;
  for (const tick of x.ticks) {
    const at = x.at(tick);
    root.append(svg('line', { class: 'grid', x1: at, x2: at, y1: box.top, y2: box.bottom }));
    if (at - last < 38) continue;
    last = at;
    root.append(svg('text', { x: at, y: box.bottom + 17, 'text-anchor': 'middle' }, show(tick)));
  }
  for (const tick of y.ticks) {
    const at = y.at(tick);
    root.append(svg('line', { class: 'grid', x1: box.left, x2: box.right, y1: at, y2: at }));
    root.append(svg('text', { x: box.left - 7, y: at + 4, 'text-anchor': 'end' }, show(tick)));
  }
  root.append(svg('text', { class: 'title', x: box.right, y: box.bottom + 37, 'text-anchor': 'end' }, titles.x));
  root.append(svg('text', { class: 'title', x: 0, y: box.top - 12 }, titles.y));
  return root;
}

// Put labels beside points; one that finds no free place is left out (hover shows it).
function placeLabels(root, marks, box, radius, rising) {
  const taken = marks.map(({ x, y }) => [x - radius, y - radius, x + radius, y + radius]);
  const free = (rect) =>
    rect[0] >= box.left && rect[2] <= box.right && rect[1] >= box.top - 4 && rect[3] <= box.bottom
    && !taken.some((t) => rect[0] < t[2] && t[0] < rect[2] && rect[1] < t[3] && t[1] < rect[3]);
  const gap = radius + 3;
  for (const { x, y, name, kind } of marks) {
    const text = svg('text', { class: `label ${kind}` }, name);
    root.append(text);
    const w = text.getComputedTextLength();
    const corner = [rising ? 3 - gap - w : gap - 3, -18]; // beside the line of the front
    const places = [...(kind.includes('on-front') ? [corner] : []), [gap, -7], [-gap - w, -7], [-w / 2, -gap - 13], [-w / 2, gap - 1], [gap, -20], [gap, 5], [-gap - w, -20], [-gap - w, 5]];
    const rect = places.map(([dx, dy]) => [x + dx, y + dy, x + dx + w, y + dy + 14]).find(free);
    if (!rect) {
      text.remove();
      continue;
    }
    taken.push(rect);
    text.setAttribute('x', rect[0]);
    text.setAttribute('y', rect[1] + 11);
  }
}
