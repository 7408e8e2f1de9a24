/* Reads values out of the line charts: by pointer, or by arrow keys once a chart has the focus. */

function readable(chart, data) {
  const [low, high, start, end] = chart.dataset.x.split(" ").map(Number);
  const cursor = chart.querySelector(".cursor"), readout = chart.parentElement.querySelector(".readout");
  const hint = "";
  let index = null;

  function show(k) {
    index = k;
    cursor.toggleAttribute("hidden", k === null);
    if (k === null) { readout.textContent = hint; return; }
    const x = start + ((data.epochs[k] - low) / (high - low || 1)) * (end - start);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    const values = data.names.map((name, s) => `${name} ${data.values[s][k] ?? "–"}${data.unit}`);
    readout.textContent = `Epoch ${data.epochs[k]}: ${values.join(", ")}`;
  }

  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect(), scale = chart.viewBox.baseVal.width / box.width;
    const epoch = low + (((event.clientX - box.left) * scale - start) / (end - start)) * (high - low);
    let best = 0;
    data.epochs.forEach((e, k) => { if (Math.abs(e - epoch) < Math.abs(data.epochs[best] - epoch)) best = k; });
    show(best);
  });
  chart.addEventListener("pointerleave", () => document.activeElement !== chart && show(null));
  chart.addEventListener("blur", () => show(null));
  chart.addEventListener("keydown", (event) => {
    const last = data.epochs.length - 1, step = event.shiftKey ? 10 : 1;
    const next = { ArrowLeft: (index ?? last + 1) - step, ArrowRight: (index ?? -1) + step, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    show(Math.min(Math.max(next, 0), last));
  });
}
