/* The plan explorer: which teacher unit goes to which student unit, with how much mass, epoch by epoch. */

function explore(section, data, probe) {
  const part = (role) => section.querySelector(`[data-role="${role}"]`);
  const cache = new Map();
  const controls = { pair: part("pair"), method: part("method"), seed: part("seed"), order: part("order"), epoch: part("epoch") };
  let plans = null, view = null, timer = null, wanted = null;
  const percent = (value) => `${value >= 0.0995 || value === 0 ? Math.round(100 * value) : (100 * value).toFixed(1)} %`;

  function fill(select, values, names = values) {
    const before = select.value;
    select.replaceChildren(...values.map((value, k) => made("option", { value }, String(names[k]))));
    if (values.map(String).includes(before)) select.value = before;
  }

  const map = new HeatMap(part("map"), (row, column) => cell(row, column));

  function chosenSets() { return data.sets.filter((set) => set.pair === Number(controls.pair.value)); }

  async function choose() {
    const sets = chosenSets();
    fill(controls.method, [...new Set(sets.map((set) => set.method))]);
    const ofMethod = sets.filter((set) => set.method === controls.method.value);
    fill(controls.seed, ofMethod.map((set) => set.seed));
    const set = ofMethod.find((candidate) => candidate.seed === Number(controls.seed.value));
    const blob = (k) => document.getElementById(`${section.dataset.run}-blob-${set.blob + k}`).textContent;
    const pair = data.pairs[set.pair], pairBlob = set.exciting ? document.getElementById(`${section.dataset.run}-blob-${pair.blob}`).textContent : "";
    if (!cache.has(set)) cache.set(set, Plans.unpack(set, pair, blob, pairBlob));
    wanted = set;
    const found = await cache.get(set);
    if (wanted !== set) return; // something else was chosen meanwhile
    const before = plans?.epochs[controls.epoch.value];
    plans = found;
    controls.epoch.max = plans.epochs.length - 1;
    controls.epoch.disabled = part("play").hidden = plans.epochs.length < 2;
    const kept = plans.epochs.indexOf(before);
    controls.epoch.value = kept >= 0 ? kept : plans.epochs.length - 1;
    controls.order.parentElement.hidden = plans.binned;
    draw();
  }

  /* Which stored row and column is drawn where. */
  function arranged(epoch) {
    const [rows, columns] = plans.shape, steps = plans.at(epoch);
    const order = { rows: [...Array(rows).keys()], columns: [...Array(columns).keys()] };
    if (plans.binned || controls.order.value === "structure") return order;
    if (controls.order.value === "numbers") {
      for (const side of ["rows", "columns"]) order[side].sort((a, b) => plans[side][a] - plans[side][b]);
      return order;
    }
    const centre = order.rows.map((row) => {
      let mass = 0, sum = 0;
      for (let k = 0; k < columns; k++) { const m = plans.mass(steps[row * columns + k]); mass += m; sum += m * k; }
      return mass > 0 ? sum / mass : Infinity;
    });
    order.rows.sort((a, b) => centre[a] - centre[b]);
    return order;
  }

  function draw() {
    const epoch = Number(controls.epoch.value), [rows, columns] = plans.shape, steps = plans.at(epoch);
    view = arranged(epoch);
    part("epoch-text").textContent = plans.epochs[epoch];
    controls.epoch.setAttribute("aria-valuetext", `epoch ${plans.epochs[epoch]}`);
    const [teacher, student] = plans.pair.widths, kind = plans.pair.studentNames ? "classes" : "units";
    part("map").setAttribute("aria-label", `Transport plan of ${plans.method}, seed ${plans.seed}, epoch ${plans.epochs[epoch]}`);
    part("columns-title").textContent = `${student} student ${kind} of ${plans.pair.student} →, ${teacher} teacher ${kind} of ${plans.pair.teacher} ↓${plans.binned ? `, drawn in ${rows} × ${columns} bins` : ""}`;
    part("scale-text").textContent = `0 … ${percent(Math.min(plans.scale * rows, 1))} of a ${plans.binned ? "row" : "teacher unit"}'s mass; shade grows with its square root`;
    const shade = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) shade[row * columns + column] = steps[view.rows[row] * columns + view.columns[column]] / 255;
    const names = (side) => (plans.pair.studentNames ? view[side].map((k) => plans.name(side, k)) : null);
    map.show({ rows, columns, shade, signed: false, rowNames: names("rows"), columnNames: names("columns"), text: null, first: strongest(shade, rows, columns) });
    facts(epoch);
    table(epoch);
  }

  /* Something to begin with: where the middle row's mass is. */
  function strongest(shade, rows, columns) {
    const row = Math.floor(rows / 2), masses = shade.subarray(row * columns, (row + 1) * columns);
    return [row, masses.indexOf(Math.max(...masses))];
  }

  function cell(drawnRow, drawnColumn) {
    const text = part("cell"), partners = part("partners");
    const epoch = Number(controls.epoch.value), row = view.rows[drawnRow], column = view.columns[drawnColumn];
    const steps = plans.at(epoch), width = plans.shape[1], masses = Array.from(steps.subarray(row * width, (row + 1) * width), (step) => plans.mass(step));
    const mass = masses[column], share = mass / (masses.reduce((a, b) => a + b, 0) || 1);
    text.textContent = `Teacher ${plans.noun("rows", row)} ${plans.name("rows", row)} → student ${plans.noun("columns", column)} ${plans.name("columns", column)}: ${percent(share)} of ${plans.units("rows", row).length > 1 ? "their" : "its"} mass, ${(100 * mass).toPrecision(2)} % of all mass.`;
    partners.replaceChildren(...list("rows", row, column, epoch), ...list("columns", column, row, epoch));
    images(row, column, epoch);
  }

  const title = (side, name) => (side === "rows" ? `Teacher ${name} goes to` : `Student ${name} gets from`);

  function list(side, index, across, epoch) {
    const other = side === "rows" ? "columns" : "rows";
    const entries = (found) => made("ol", {}, ...found.map(([name, share]) => made("li", {}, made("span", {}, name), made("div", { class: "bar", "aria-hidden": "true" }, made("i", { style: `width:${100 * share}%` })), made("span", {}, percent(share)))));
    if (!plans.top) return [made("div", {}, made("h4", {}, title(side, plans.name(side, index))), entries(plans.partnersOf(side, index, epoch, 5)))];
    return plans.facing(side, index, across, epoch).slice(0, 4).map((unit) => made("div", {}, made("h4", {}, title(side, plans.unit(side, unit))), entries(plans.unitPartners(side, unit, epoch).map(([partner, share]) => [plans.unit(other, partner), share]))));
  }

  /* The samples that excite the pair most, side by side; of binned rows and columns the pair that shares most mass. */
  function images(row, column, epoch) {
    if (!probe || !plans.samples) return;
    const teacher = plans.facing("rows", row, column, epoch)[0];
    const inColumn = new Set(plans.units("columns", column));
    const best = plans.top && plans.unitPartners("rows", teacher, epoch).find(([partner]) => inColumn.has(partner));
    const student = best ? best[0] : plans.units("columns", column)[0];
    const both = new Set(plans.exciting("rows", teacher, epoch).filter((k) => plans.exciting("columns", student, epoch).includes(k)));
    const own = probe.of.teacher ?? probe.of[plans.pair.teacher.slice(0, plans.pair.teacher.lastIndexOf(":"))];
    const sheet = (side) => (side === "rows" && own) || "student";
    part("images").replaceChildren(
      ...[["rows", teacher, "Excites teacher"], ["columns", student, "Excites student"]].map(([side, unit, text]) => {
        const samples = plans.exciting(side, unit, epoch);
        const shown = samples.length ? gallery(samples, sheet(side), both) : [made("p", {}, "No sample more than another: the unit is silent.")];
        return made("div", {}, made("h4", {}, `${text} ${plans.unit(side, unit)} most`), ...shown);
      }),
    );
  }

  function gallery(samples, role, both) {
    const said = (k) => `${probe.names[k][1]}, sample ${probe.names[k][0]}${both.has(k) ? ", excites both" : ""}`;
    const size = probe.sheets[role];
    if (!size) return [made("ol", { class: "names" }, ...samples.map((k) => made("li", {}, said(k))))];
    const [wide, high] = size, scale = 50 / Math.max(wide, high), rows = Math.ceil(probe.names.length / probe.columns);
    const thumb = (k) => {
      const x = (k % probe.columns) * wide * scale, y = Math.floor(k / probe.columns) * high * scale;
      const style = `width:${wide * scale}px;height:${high * scale}px;background-size:${probe.columns * wide * scale}px ${rows * high * scale}px;background-position:${-x}px ${-y}px`;
      const picture = made("span", { class: `thumb ${section.dataset.run}-${role}${scale > 2 ? " coarse" : ""}`, role: "img", "aria-label": said(k), title: said(k), style });
      return made("li", both.has(k) ? { class: "both" } : {}, picture, made("small", { "aria-hidden": "true" }, probe.names[k][1]));
    };
    return [made("ol", { class: "gallery" }, ...samples.map(thumb))];
  }

  function facts(epoch) {
    const { cost, uniform, moved, best } = plans.facts, tiles = [];
    if (cost) tiles.push([cost[epoch].toFixed(3), `cost of the plan; the uniform plan's is ${uniform[epoch].toFixed(3)}`, cost]);
    tiles.push([percent(best[epoch]), "of a teacher unit's mass goes to its best partner, on average", best]);
    if (plans.epochs.length > 1) tiles.push([moved[epoch] === null ? "–" : percent(moved[epoch]), epoch ? `of the mass moved since epoch ${plans.epochs[epoch - 1]}` : "mass moved: nothing is recorded before", moved]);
    part("facts").replaceChildren(...tiles.map(([value, text, values]) => made("div", { class: "tile" }, made("b", {}, value), made("span", {}, text), ...(plans.epochs.length > 1 ? [spark(values, epoch)] : []))));
  }

  function spark(values, epoch) {
    const known = values.filter((v) => v !== null), low = Math.min(...known), high = Math.max(...known), last = values.length - 1 || 1;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "-4 -4 128 32");
    svg.setAttribute("aria-hidden", "true");
    const point = (v, k) => [(k / last) * 120, 24 - ((v - low) / (high - low || 1)) * 24];
    const line = values.map((v, k) => (v === null ? "" : point(v, k).map((n) => n.toFixed(1)).join(" "))).filter(Boolean).join("L");
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("d", known.length > 1 ? `M${line}` : "M0 24");
    svg.append(path);
    if (values[epoch] !== null) {
      const dot = document.createElementNS(svg.namespaceURI, "circle"), [x, y] = point(values[epoch], epoch);
      for (const [name, value] of [["cx", x], ["cy", y], ["r", 3]]) dot.setAttribute(name, value);
      svg.append(dot);
    }
    return svg;
  }

  function table(epoch) {
    const details = part("table");
    if (!details.open) return;
    const said = (found) => found.slice(0, 3).map(([name, share]) => `${name} (${percent(share)})`).join(", ");
    const rows = plans.top
      ? Array.from({ length: plans.count("rows") }, (_, unit) => [plans.unit("rows", unit), said(plans.unitPartners("rows", unit, epoch).map(([partner, share]) => [plans.unit("columns", partner), share]))])
      : [...plans.rows.keys()].sort((a, b) => plans.rows[a] - plans.rows[b]).map((row) => [plans.name("rows", row), said(plans.partnersOf("rows", row, epoch, 3))]);
    details.querySelector("div").replaceChildren(tableOf(["teacher unit", "student units, with the share of its mass"], rows));
  }

  function play(on) {
    clearInterval(timer);
    timer = null;
    part("play").textContent = on ? "Pause" : "Play";
    part("play").setAttribute("aria-pressed", on);
    if (!on) return;
    if (controls.epoch.value === controls.epoch.max) controls.epoch.value = 0;
    draw();
    timer = setInterval(() => {
      if (controls.epoch.value === controls.epoch.max) { play(false); return; }
      controls.epoch.value = Number(controls.epoch.value) + 1;
      draw();
    }, 600);
  }

  fill(controls.pair, data.pairs.map((_, k) => k), data.pairs.map((pair) => `${pair.student} ← ${pair.teacher}`));
  controls.pair.value = data.pairs.length - 1; // the deepest says most of what the classifier sees
  const last = chosenSets().map((set) => set.method).filter((method) => method !== "none").pop();
  fill(controls.method, [...new Set(chosenSets().map((set) => set.method))]);
  if (last) controls.method.value = last;
  for (const name of ["pair", "method", "seed"]) controls[name].addEventListener("change", choose);
  controls.order.addEventListener("change", draw);
  controls.epoch.addEventListener("input", () => { play(false); draw(); });
  part("play").addEventListener("click", () => play(timer === null));
  part("table").addEventListener("toggle", () => plans && table(Number(controls.epoch.value)));
  choose();
}
