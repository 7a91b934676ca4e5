// Tables that sort and filter.

// Turns the headers of a table into buttons; missing numbers stay at the end.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = el('button', { type: 'button' }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const first = head.dataset.best === 'high' ? 'descending' : 'ascending';
      const second = first === 'ascending' ? 'descending' : 'ascending';
      const order = head.getAttribute('aria-sort') === first ? second : first;
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', order);
      sortRows(table.tBodies[0], column, order === 'ascending' ? 1 : -1);
    });
  });
}

function sortRows(body, column, sign) {
  const keyed = [...body.rows].map((row) => {
    const { v } = row.cells[column].dataset;
    return { row, text: row.cells[column].textContent, number: v === undefined || v === '' ? null : Number(v) };
  });
  const numeric = keyed.some((item) => item.number !== null);
  keyed.sort((a, b) => {
    if (!numeric) return sign * a.text.localeCompare(b.text, 'en', { numeric: true });
    if (a.number === null || b.number === null) return (a.number === null) - (b.number === null);
    return sign * (a.number - b.number);
  });
  body.append(...keyed.map((item) => item.row));
}

// Words that all have to occur in a row.
const queryWords = () => byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);

function matches(row, words) {
  const text = `${row.name} ${row.setup === null ? '' : data.setups[row.setup]} ${row.input}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

const inSetup = (row) => String(row.setup) === byId('setup').value;

function filterTable() {
  const words = queryWords();
  const rows = [...byId('measurements').tBodies[0].rows];
  const every = byId('every').checked;
  for (const line of rows) {
    const row = data.rows[line.dataset.row];
    line.hidden = !matches(row, words) || !(every || inSetup(row));
  }
  byId('measurements').classList.toggle('one-setup', !every);
  const visible = rows.filter((row) => !row.hidden);
  hideEmptyColumns(visible);
  const left = visible.length;
  byId('count').textContent = left < rows.length ? `${left} of ${rows.length}` : '';
}

// Columns of numbers of which no visible row has one.
function hideEmptyColumns(visible) {
  const table = byId('measurements');
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!head.dataset.best) return;
    const empty = visible.length > 0 && visible.every((row) => row.cells[column].dataset.v === undefined);
    for (const row of table.rows) row.cells[column].hidden = empty;
  });
}

// A table from columns {title, unit, best, text} and rows of values.
function makeTable(columns, rows) {
  const head = columns.map(({ title, unit, best, text }) =>
    el('th', { scope: 'col', class: text ? 'text' : null, 'data-best': best || null }, title, ...(unit ? [el('small', {}, unit)] : [])));
  const lines = rows.map((values) => el('tr', {}, ...values.map((value, i) => {
    if (i === 0) return el('th', { scope: 'row' }, value);
    if (columns[i].text) return el('td', { class: 'text' }, value);
    return el('td', { 'data-v': isNumber(value) ? value : null }, columns[i].percent ? percent(value) : show(value));
  })));
  const table = el('table', {}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...lines));
  makeSortable(table);
  return table;
}
