/* What is taken for what, and how each class fares against the student alone. */

async function inflated(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/* An element with attributes and children; text is never read as markup. */
function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function tableOf(heading, rows) {
  const cells = (row, tag) => made("tr", {}, ...row.map((cell, k) => made(k === 0 ? "th" : tag, k === 0 ? { scope: tag === "th" ? "col" : "row" } : {}, cell)));
  return made("table", { class: "plain" }, made("thead", {}, cells(heading, "th")), made("tbody", {}, ...rows.map((row) => cells(row, "td"))));
}

function confuse(section, data) {
  const part = (role) => section.querySelector(`[data-role="${role}"]`);
  const names = data.names, size = names.length, known = {};
  const method = part("method"), difference = part("difference");
  let ours = null, alone = null;
  const share = (of, target, predicted) => of.counts[target * size + predicted] / (of.totals[target] || 1);
  const percent = (value) => `${(100 * value).toFixed(1)} %`;

  const map = new HeatMap(part("map"), (target, predicted) => {
    const said = `True ${names[target]}, predicted ${names[predicted]}`;
    const before = alone && method.value !== data.alone ? `; the student alone, ${percent(share(alone, target, predicted))}` : "";
    part("cell").textContent = `${said}: ${ours.counts[target * size + predicted]} of ${ours.totals[target]} samples (${percent(share(ours, target, predicted))}${before}).`;
  });

  async function load(name) {
    if (known[name]) return known[name];
    const counts = new Uint32Array(await inflated(data.counts[name])), totals = new Array(size).fill(0);
    counts.forEach((count, k) => { totals[Math.floor(k / size)] += count; });
    known[name] = { counts, totals };
    return known[name];
  }

  /* Shown as square roots, so that a rare confusion is still seen. */
  function shadeOf(k, signed) {
    const target = Math.floor(k / size), here = share(ours, target, k % size);
    if (!signed) return Math.sqrt(here);
    const change = here - share(alone, target, k % size);
    return 0.5 + 0.5 * Math.sign(change) * Math.sqrt(Math.min(4 * Math.abs(change), 1));
  }

  async function update() {
    const chosen = method.value;
    const [found, before] = await Promise.all([load(chosen), data.alone ? load(data.alone) : null]);
    if (chosen !== method.value) return; // something else was chosen meanwhile
    [ours, alone] = [found, before];
    const signed = Boolean(difference?.checked);
    const shade = Float32Array.from(ours.counts, (_, k) => shadeOf(k, signed));
    const text = (target, predicted) => {
      const count = ours.counts[target * size + predicted] - (signed ? alone.counts[target * size + predicted] : 0);
      return count === 0 ? "" : signed && count > 0 ? `+${count}` : String(count).replace("-", "−");
    };
    part("scale").classList.toggle("signed", signed);
    part("scale-text").textContent = signed ? "fewer … more than the student alone" : "0 … all of a class's samples";
    map.show({ rows: size, columns: size, shade, signed, rowNames: names, columnNames: names, text, first: worst() });
    gains();
    confused();
  }

  /* Something to begin with: the most frequent confusion. */
  function worst() {
    let best = 0, at = 0;
    ours.counts.forEach((count, k) => { if (count > best && Math.floor(k / size) !== k % size) [best, at] = [count, k]; });
    return [Math.floor(at / size), at % size];
  }

  function gains() {
    const found = data.gains[method.value];
    if (!found) { part("gains").replaceChildren(); return; }
    const widest = Math.max(...found.map(([, points]) => Math.abs(points)), 1);
    const rows = found.map(([name, points, before, now]) => {
      const wide = (50 * Math.abs(points)) / widest;
      const bar = made("i", { class: points < 0 ? "less" : "more", style: `width:${wide}%;left:${points < 0 ? 50 - wide : 50}%` });
      return [name, before.toFixed(1), now.toFixed(1), `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(1)}`, made("div", { class: "gain", "aria-hidden": "true" }, bar)];
    });
    part("gains").replaceChildren(made("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Classes gained and lost" }, tableOf(["class", "alone, %", "with it, %", "points", ""], rows)));
  }

  function confused() {
    const pairs = [];
    ours.counts.forEach((count, k) => { if (count > 0 && Math.floor(k / size) !== k % size) pairs.push([count, Math.floor(k / size), k % size]); });
    pairs.sort((a, b) => b[0] - a[0]);
    const rows = pairs.slice(0, 8).map(([count, target, predicted]) => [`${names[target]} for ${names[predicted]}`, String(count), percent(share(ours, target, predicted))]);
    const list = made("details", {}, made("summary", {}, "Most frequent confusions"), tableOf(["true class for predicted", "times", "of the class"], rows));
    part("confused").replaceChildren(...(rows.length ? [list] : []));
  }

  method.addEventListener("change", update);
  difference?.addEventListener("change", update);
  update();
}
