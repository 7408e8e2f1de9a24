/* One recorded plan over its epochs, unpacked. Drawn rows and columns are single units, or bins of ordered units.
   "Rows" are the teacher's, "columns" the student's. What is known of units one by one goes by their number. */
class Plans {
  static async unpack(set, pair, blob, pairBlob) {
    const plans = new Plans(), blobs = 1 + (set.partners[0] > 0 ? 4 : 0) + (set.exciting > 0 ? 1 : 0);
    const content = await Promise.all(Array.from({ length: blobs }, (_, k) => inflated(blob(k))));
    const { exciting, ...known } = set;
    Object.assign(plans, known, { pair, kept: exciting, masses: new Uint8Array(content[0]), top: null, samples: null });
    if (set.partners[0]) {
      const [rows, rowShares, columns, columnShares] = content.slice(1);
      plans.top = { rows: [new Uint16Array(rows), new Uint8Array(rowShares)], columns: [new Uint16Array(columns), new Uint8Array(columnShares)] };
    }
    if (set.exciting) plans.samples = { rows: new Int16Array(await inflated(pairBlob)), columns: new Int16Array(content[blobs - 1]) };
    return plans;
  }

  get binned() { return this.rows.length > this.shape[0] || this.columns.length > this.shape[1]; }

  at(epoch) {
    const size = this.shape[0] * this.shape[1];
    return this.masses.subarray(epoch * size, (epoch + 1) * size);
  }

  mass(step) { return this.scale * (step / 255) ** 2; }

  /* How many units are known one by one. */
  count(side) { return this[side].length; }

  /* Those that a drawn row or column stands for. */
  units(side, index) {
    const order = this[side], bins = this.shape[side === "rows" ? 0 : 1];
    return order.length <= bins ? [order[index]] : order.slice(...span(index, order.length, bins));
  }

  /* A unit's name: its class, its number, or the numbers that were binned when it was recorded. */
  unit(side, index) {
    const axis = side === "rows" ? 0 : 1, names = axis === 0 ? this.pair.teacherNames : this.pair.studentNames;
    const width = this.pair.widths[axis], known = this.count(side);
    if (names) return names[index];
    if (known === width) return String(index);
    const [start, end] = span(index, width, known);
    return end - start === 1 ? String(start) : `${start}–${end - 1}`;
  }

  /* A word for what a row or column stands for. */
  noun(side, index) {
    const named = side === "rows" ? this.pair.teacherNames : this.pair.studentNames, several = this.units(side, index).length > 1;
    return named ? (several ? "classes" : "class") : several ? "units" : "unit";
  }

  name(side, index) {
    const units = this.units(side, index).map((unit) => this.unit(side, unit));
    return units.length > 6 ? `${units.slice(0, 6).join(", ")} and ${units.length - 6} more` : units.join(", ");
  }

  /* Strongest partners of one drawn row or column: [name, share of its mass], best first. */
  partnersOf(side, index, epoch, count) {
    const [rows, columns] = this.shape, steps = this.at(epoch), other = side === "rows" ? "columns" : "rows";
    const length = side === "rows" ? columns : rows;
    const masses = Array.from({ length }, (_, k) => this.mass(steps[side === "rows" ? index * columns + k : k * columns + index]));
    const total = masses.reduce((a, b) => a + b, 0) || 1;
    const best = masses.map((mass, k) => [mass / total, k]).sort((a, b) => b[0] - a[0]).slice(0, count);
    return best.filter(([share]) => share > 0.0005).map(([share, k]) => [this.name(other, k), share]);
  }

  /* The same of one unit, from the partners that were kept for it: [unit, share]. */
  unitPartners(side, unit, epoch) {
    const kept = this.partners[side === "rows" ? 0 : 1], [top, shares] = this.top[side];
    const start = (epoch * this.count(side) + unit) * kept;
    return Array.from({ length: kept }, (_, k) => [top[start + k], shares[start + k] / 255]).filter(([, share]) => share > 0);
  }

  /* Units of a drawn row or column, those first that give most to the drawn column or row across. */
  facing(side, index, across, epoch) {
    const units = this.units(side, index);
    if (!this.top) return units;
    const other = new Set(this.units(side === "rows" ? "columns" : "rows", across));
    const given = (unit) => this.unitPartners(side, unit, epoch).reduce((sum, [partner, share]) => sum + (other.has(partner) ? share : 0), 0);
    return units.map((unit) => [given(unit), unit]).sort((a, b) => b[0] - a[0]).map(([, unit]) => unit);
  }

  /* Probe samples that excite a unit most, best first; none for a silent unit. The teacher's stay the same. */
  exciting(side, unit, epoch) {
    const start = ((side === "rows" ? 0 : epoch * this.pair.widths[1]) + unit) * this.kept;
    return [...this.samples[side].subarray(start, start + this.kept)].filter((sample) => sample >= 0);
  }
}

/* Bin b of n things in `bins` bins holds the k with floor(k * bins / n) == b: these, from the first to before the last. */
function span(bin, n, bins) { return [Math.ceil((bin * n) / bins), Math.ceil(((bin + 1) * n) / bins)]; }
