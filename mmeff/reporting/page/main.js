// Reads the data, fills the controls, connects them.

const data = JSON.parse(byId('data').textContent);
let chosen = data.start;

function choose(index) {
  chosen = index;
  const { setup } = data.rows[index];
  if (setup !== null) byId('setup').value = String(setup);
  byId('model').value = String(index);
  for (const row of byId('measurements').tBodies[0].rows) {
    row.classList.toggle('chosen', row.dataset.row === String(index));
  }
  filterTable();
  drawScatter();
  drawModel();
}

// The same model in another setup, or the first one there.
function changeSetup() {
  const there = data.rows.map((row, index) => ({ row, index })).filter(({ row }) => inSetup(row));
  const same = there.find(({ row }) => row.name === data.rows[chosen].name);
  choose((same || there[0]).index);
}

function startTable() {
  const table = byId('measurements');
  makeSortable(table);
  for (const row of table.tBodies[0].rows) {
    const name = row.cells[0].firstElementChild;
    const button = el('button', { type: 'button', title: 'look inside' }, name.textContent);
    name.replaceWith(button);
    button.addEventListener('click', () => {
      choose(Number(row.dataset.row));
      byId('inside').scrollIntoView({ block: 'start' });
      byId('model').focus({ preventScroll: true });
    });
  }
  byId('filter-line').hidden = false;
  const single = data.rows.every((row) => row.setup === data.rows[0].setup);
  byId('every-label').hidden = single;
  byId('every').checked = !data.setups.length;
  const filter = () => {
    filterTable();
    drawScatter();
  };
  byId('filter').addEventListener('input', filter);
  byId('every').addEventListener('change', filter);
}

function startChart() {
  const axes = data.axes.map((axis, index) => [String(index), axis.title]);
  fillSelect(byId('x'), axes, String(data.x));
  fillSelect(byId('y'), axes, String(data.y));
  fillSelect(byId('setup'), data.setups.map((text, index) => [String(index), text]), String(data.setup));
  byId('setup').addEventListener('change', changeSetup);
  byId('setup-label').hidden = data.setups.length < 2;
  for (const id of ['x', 'y', 'log']) byId(id).addEventListener('change', drawScatter);
  byId('chart').hidden = !data.setups.length || !data.axes.length;
}

function startModel() {
  const groups = [...data.setups.keys(), null].map((setup) => {
    const label = setup === null ? 'Accuracy without a benchmark' : data.setups[setup];
    const options = data.rows.flatMap((row, index) => (row.setup === setup ? [el('option', { value: index }, row.name)] : []));
    return options.length ? [el('optgroup', { label }, ...options)] : [];
  });
  byId('model').replaceChildren(...groups.flat());
  byId('model').addEventListener('change', () => choose(Number(byId('model').value)));
  byId('inside').hidden = false;
}

byId('no-script').remove();
startTable();
startChart();
startModel();
choose(chosen);

// Charts are drawn in pixels, so they follow the width of the window.
let drawnWidth = innerWidth;
addEventListener('resize', () => {
  if (innerWidth === drawnWidth) return;
  drawnWidth = innerWidth;
  drawScatter();
  drawRoofline(data.rows[chosen]);
});
addEventListener('scroll', hideTip, { passive: true });
