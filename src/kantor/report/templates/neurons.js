/* Matched units of two layers: how alike all pairs are, who goes to whom, and the samples that excite both. */

const SIZE = 40, STEP = 12;

/* A sample's thumbnail, or its number where there is no picture of it. */
function thumbnail(sheet, id) {
  const tile = sheet ? sheet.at.get(id) : undefined;
  if (tile === undefined) return made("span", { class: "sample" }, String(id));
  const column = tile % sheet.columns, line = Math.floor(tile / sheet.columns), lines = Math.ceil(sheet.ids.length / sheet.columns);
  const said = `sample ${id}, ${sheet.classes[tile]}`;
  const style = `background-image:var(${sheet.name});background-size:${sheet.columns * SIZE}px ${lines * SIZE}px;background-position:-${column * SIZE}px -${line * SIZE}px`;
  return made("span", { class: sheet.tile > 16 ? "thumb" : "thumb coarse", role: "img", "aria-label": said, title: said, style });
}

function matchUnits(section, data) {
  const part = (role) => section.querySelector(`[data-role="${role}"]`);
  const controls = { pair: part("pair"), method: part("method"), seed: part("seed"), order: part("order"), show: part("show") };
  const percent = (value) => `${Math.round(100 * value)} %`;
  let set = null, shades = null, position = null, count = STEP;

  for (const sheet of Object.values(data.sheets)) sheet.at = new Map(sheet.ids.map((id, k) => [id, k]));

  function fill(select, values, names = values) {
    const before = select.value;
    select.replaceChildren(...values.map((value, k) => made("option", { value }, String(names[k]))));
    if (values.map(String).includes(before)) select.value = before;
    select.parentElement.hidden = values.length < 2;
  }

  const layersOf = (one) => `${one.layers[0]} → ${one.layers[1]}`;
  const map = new HeatMap(part("map"), (row, column) => cell(set.order[0][row], set.order[1][column]));

  async function choose() {
    const ofPair = data.sets.filter((one) => layersOf(one) === controls.pair.value);
    fill(controls.method, [...new Set(ofPair.map((one) => one.method))]);
    const ofMethod = ofPair.filter((one) => one.method === controls.method.value);
    fill(controls.seed, ofMethod.map((one) => one.seed));
    const wanted = ofMethod.find((one) => one.seed === controls.seed.value);
    const unpacked = wanted.plan ? await Promise.all([inflated(wanted.plan), inflated(wanted.alike)]) : null;
    set = wanted;
    shades = unpacked && { plan: new Uint8Array(unpacked[0]), alike: new Uint8Array(unpacked[1]) };
    count = STEP;
    part("picture").hidden = !set.plan;
    controls.show.parentElement.hidden = !set.plan;
    draw();
    list();
  }

  function draw() {
    if (!set.plan) { part("cell").textContent = ""; return; }
    const [rows, columns] = set.widths, source = shades[controls.show.value], shade = new Float32Array(rows * columns);
    position = set.order.map((order) => new Map(order.map((unit, k) => [unit, k])));
    set.order[0].forEach((row, i) => set.order[1].forEach((column, j) => { shade[i * columns + j] = source[row * columns + column] / 255; }));
    part("columns-title").textContent = `${columns} units of ${data.names[1]}'s ${set.layers[1]} →, ${rows} units of ${data.names[0]}'s ${set.layers[0]} ↓`;
    part("scale-text").textContent = controls.show.value === "plan" ? "no mass … most" : "unrelated … the same function";
    const first = sorted()[0];
    map.cell = null;
    map.show({ rows, columns, shade, signed: false, rowNames: null, columnNames: null, text: null, first: first ? [position[0].get(first[0]), position[1].get(first[1])] : [0, 0] });
  }

  /* Teachers that see different things have sheets by their names. */
  const sheetOf = (side) => (side ? data.sheets.student : data.sheets.teacher ?? data.sheets[set.of]);
  const samples = (side, unit) => made("div", { class: "thumbs" }, ...set.tops[side][unit].map((id) => thumbnail(sheetOf(side), id)));

  function pairOf(i, j) {
    return [0, 1].map((side) => made("div", {}, made("span", { class: "axis" }, `${data.names[side]}, unit ${[i, j][side]}`), samples(side, [i, j][side])));
  }

  function cell(i, j) {
    const match = set.matches.find(([a, b]) => a === i && b === j);
    const alike = (shades.alike[i * set.widths[1] + j] / 255).toFixed(2);
    part("cell").textContent = `${data.names[0]} unit ${i} and ${data.names[1]} unit ${j}: likeness ${alike}. ${match ? `Matched, ${percent(match[2])} of the mass; cost ${match[3].toFixed(3)}.` : "Not best partners."}`;
    part("excites").replaceChildren(...pairOf(i, j));
  }

  function sorted() {
    const by = { best: (a, b) => a[3] - b[3], worst: (a, b) => b[3] - a[3], number: (a, b) => a[0] - b[0] || a[1] - b[1] };
    return [...set.matches].sort(by[controls.order.value]);
  }

  function list() {
    const shown = sorted().slice(0, count);
    part("list").replaceChildren(...shown.map(([i, j, share, cost]) => made("li", {}, made("p", { class: "match" }, made("b", {}, `${i} → ${j}`), ` cost ${cost.toFixed(3)}, ${percent(share)} of the mass`), ...pairOf(i, j))));
    part("more").hidden = count >= set.matches.length;
    part("more").textContent = `Show more (${set.matches.length - shown.length} left)`;
  }

  fill(controls.pair, [...new Set(data.sets.map(layersOf))]);
  controls.pair.value = layersOf(data.sets[data.sets.length - 1]);
  const methods = [...new Set(data.sets.map((one) => one.method))];
  fill(controls.method, methods);
  controls.method.value = data.first;
  for (const name of ["pair", "method", "seed"]) controls[name].addEventListener("change", choose);
  controls.show.addEventListener("change", draw);
  controls.order.addEventListener("change", list);
  part("more").addEventListener("click", () => { count += 4 * STEP; list(); });
  choose();
}

for (const section of document.querySelectorAll(".neurons")) matchUnits(section, data[section.dataset.run].neurons);
