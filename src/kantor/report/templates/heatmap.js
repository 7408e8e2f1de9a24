/* A matrix as a picture that can be pointed at and walked through by keyboard. Knows nothing of what it shows. */

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

/* 256 colours between stops; signed runs from less over the page's surface to more. */
function ramp(signed) {
  const stops = (signed ? [colour("--less"), colour("--surface"), colour("--more")] : colour("--heat").split(",")).map((s) => rgb(s.trim()));
  return Array.from({ length: 256 }, (_, k) => {
    const at = (k / 255) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((v, c) => Math.round(v + (at - low) * (stops[low + 1][c] - v)));
  });
}

class HeatMap {
  /* onCell(row, column) is called with what is pointed at. */
  constructor(canvas, onCell) {
    this.canvas = canvas;
    this.onCell = onCell;
    this.cell = null;
    this.held = false;
    canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && !this.held && this.point(this.at(event)));
    canvas.addEventListener("click", (event) => { const cell = this.at(event); if (cell) { this.held = !(this.held && this.same(cell)); this.choose(cell); } });
    canvas.addEventListener("keydown", (event) => this.walk(event));
    dark.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  /* content: rows, columns, shade[row * columns + column] in [0, 1] (signed: 0.5 is nothing), signed,
     rowNames and columnNames (drawn where they are few), text(row, column) (drawn where it fits),
     first: the cell to begin with. */
  show(content) {
    this.content = content;
    if (!this.cell || this.cell[0] >= content.rows || this.cell[1] >= content.columns) this.cell = content.first ?? [0, 0];
    this.draw();
    this.onCell(...this.cell);
  }

  choose(cell) {
    this.cell = cell;
    this.draw();
    this.onCell(...cell);
  }

  point(cell) { if (cell && !this.same(cell)) this.choose(cell); }

  same(cell) { return this.cell[0] === cell[0] && this.cell[1] === cell[1]; }

  at(event) {
    const box = this.canvas.getBoundingClientRect(), { left, top, width, height } = this.area;
    const column = Math.floor(((event.clientX - box.left - left) / width) * this.content.columns);
    const row = Math.floor(((event.clientY - box.top - top) / height) * this.content.rows);
    return row >= 0 && column >= 0 && row < this.content.rows && column < this.content.columns ? [row, column] : null;
  }

  walk(event) {
    const step = event.shiftKey ? 10 : 1, { rows, columns } = this.content;
    let [row, column] = this.cell;
    const moves = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step], Home: [0, -columns], End: [0, columns], PageUp: [-rows, 0], PageDown: [rows, 0] };
    if (event.key === "Enter" || event.key === " ") this.held = !this.held;
    else if (event.key === "Escape") this.held = false;
    else if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [down, right] = moves[event.key] ?? [0, 0];
    row = Math.min(Math.max(row + down, 0), rows - 1);
    column = Math.min(Math.max(column + right, 0), columns - 1);
    this.choose([row, column]);
  }

  draw() {
    if (!this.content) return;
    const { rows, columns, shade, signed, rowNames, columnNames, text } = this.content;
    const width = this.canvas.clientWidth, ratio = devicePixelRatio || 1, context = this.canvas.getContext("2d");
    const named = rowNames && Math.max(rows, columns) <= 24;
    context.font = "12px system-ui, sans-serif";
    const longest = named ? Math.max(...rowNames.map((name) => context.measureText(name).width)) : 0;
    const left = named ? Math.min(longest + 10, width * 0.3) : 1, top = named ? 20 : 1;
    const inner = { left, top, width: width - left - 1, height: 0 };
    inner.height = Math.min(Math.max((inner.width * rows) / columns, inner.width * 0.5), inner.width);
    const height = inner.height + top + 1;
    this.area = inner;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = columns > inner.width * ratio || rows > inner.height * ratio;
    context.drawImage(this.picture(rows, columns, shade, signed), left, top, inner.width, inner.height);
    context.strokeStyle = colour("--rule");
    context.strokeRect(left, top, inner.width, inner.height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const high = inner.height / rows, wide = inner.width / columns;
    if (named) {
      context.fillStyle = colour("--quiet");
      context.textAlign = "right";
      rowNames.forEach((name, k) => context.fillText(clipped(context, name, left - 8), left - 6, top + (k + 0.5) * high));
      context.textAlign = "center";
      columnNames.forEach((name, k) => context.fillText(clipped(context, name, wide - 2), left + (k + 0.5) * wide, top / 2));
    }
    if (text && wide >= 24 && high >= 14) this.write(context, inner, wide, high);
    this.mark(context, inner, wide, high);
  }

  picture(rows, columns, shade, signed) {
    const picture = document.createElement("canvas"), colours = ramp(signed);
    [picture.width, picture.height] = [columns, rows];
    const context = picture.getContext("2d"), image = context.createImageData(columns, rows), pixels = image.data;
    for (let k = 0; k < shade.length; k++) {
      const [red, green, blue] = colours[Math.round(255 * Math.min(Math.max(shade[k], 0), 1))];
      pixels[4 * k] = red;
      pixels[4 * k + 1] = green;
      pixels[4 * k + 2] = blue;
      pixels[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return picture;
  }

  write(context, inner, wide, high) {
    const { rows, columns, shade, signed, text } = this.content;
    context.textAlign = "center";
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const value = shade[row * columns + column], deep = signed ? Math.abs(value - 0.5) > 0.35 : value > 0.55;
        context.fillStyle = colour(deep ? "--ink-on-deep" : "--ink-on-heat");
        context.fillText(text(row, column), inner.left + (column + 0.5) * wide, inner.top + (row + 0.5) * high);
      }
    }
  }

  mark(context, inner, wide, high) {
    const [row, column] = this.cell, x = inner.left + column * wide, y = inner.top + row * high;
    context.strokeStyle = colour("--ink");
    context.globalAlpha = 0.45;
    context.strokeRect(inner.left, y, inner.width, high);
    context.strokeRect(x, inner.top, wide, inner.height);
    context.globalAlpha = 1;
    context.lineWidth = this.held ? 3 : 2;
    context.strokeStyle = colour("--focus");
    context.strokeRect(x - 1, y - 1, wide + 2, high + 2);
    context.lineWidth = 1;
  }
}

function clipped(context, name, room) {
  if (context.measureText(name).width <= room) return name;
  let length = name.length;
  while (length > 0 && context.measureText(name.slice(0, length) + "…").width > room) length--;
  return length > 0 ? name.slice(0, length) + "…" : "";
}
