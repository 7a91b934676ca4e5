// Elements, numbers and the tooltip. Data become text nodes and attributes, never HTML.

const byId = (id) => document.getElementById(id);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const el = (tag, attributes = {}, ...children) =>
  build(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  build(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

function show(value, unit = '') {
  if (!isNumber(value)) return '\u2013';
  const text = value.toLocaleString('en-US', { maximumSignificantDigits: 4 });
  return unit ? `${text} ${unit}` : text;
}

const percent = (part) => (isNumber(part) ? `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %` : '\u2013');

function showTip(node, lines) {
  const tip = byId('tip');
  tip.replaceChildren(...lines.map((line) => el('div', {}, line)));
  tip.hidden = false;
  const mark = node.getBoundingClientRect();
  const box = tip.getBoundingClientRect();
  const left = mark.left + mark.width / 2 - box.width / 2;
  const above = mark.top - box.height - 8;
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - box.width - 4))}px`;
  tip.style.top = `${above > 4 ? above : mark.bottom + 8}px`;
}

const hideTip = () => { byId('tip').hidden = true; };

// Text that appears on hover and focus; screen readers get it as the label.
function withTip(node, lines) {
  node.setAttribute('aria-label', lines.join(', '));
  node.addEventListener('pointerenter', () => showTip(node, lines));
  node.addEventListener('focus', () => showTip(node, lines));
  node.addEventListener('pointerleave', hideTip);
  node.addEventListener('blur', hideTip);
  return node;
}

function onPress(node, action) {
  node.addEventListener('click', action);
  node.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      action();
    }
  });
}

function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => el('option', { value }, text)));
  select.value = chosen;
}
