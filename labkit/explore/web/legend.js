// The legend: what colours mean, what the selection is made of, what is filtered away.

import { h, number, percent, rebuilt, SHAPES, short, svg, typed, wilson } from "./tools.js";

export class Legend {
  // Members of each class among all points, or (with flags) among the selected; counted once for each selection.
  counts(flags) {
    const key = flags ? "chosen" : "all", kept = this.tally?.[key];
    if (kept && kept.values === this.values && kept.flags === flags) return kept.counts;
    const counts = new Float64Array(this.colour.classes.length);
    for (let i = 0; i < this.values.length; i++) if (!flags || flags[i]) counts[this.values[i]]++;
    this.tally = { ...this.tally, [key]: { values: this.values, flags, counts } };
    return counts;
  }

  showLegend() {
    const { colour } = this;
    if (!colour) return;
    const title = h("h3", { textContent: colour.name ?? "" });
    if (colour.about) title.append(h("small", { textContent: ` ${colour.about}` }));
    const parts = { class: () => [title, this.classList()], value: () => [title, ...this.scale()], none: () => [] }[colour.kind];
    rebuilt(this.legend, () => this.legend.replaceChildren(...parts()));
  }

  classList() {
    const all = this.counts(null), chosen = this.selected ? this.counts(this.flags) : null, n = this.values.length;
    let order = [...all.keys()];
    if (order.length > 40) order = order.sort((p, q) => (chosen ? chosen[q] - chosen[p] : 0) || all[q] - all[p]).slice(0, 40);
    const rows = order.map((k) => this.classRow(k, all[k] / n, all[k], chosen?.[k]));
    const rest = all.length - order.length;
    if (rest) rows.push(h("li", { className: "lk-more", textContent: `and ${number(rest)} more classes` }));
    return h("ul", { className: `lk-classes${chosen ? " lk-shares" : ""}` }, ...rows);
  }

  classRow(k, base, size, hits) {
    const { name, shape } = this.colour.classes[k], off = this.hidden.has(k), colour = this.css(k);
    const swatch = h("button", { type: "button", className: "lk-swatch", ariaPressed: String(!off), title: "Show or hide (double click: only this)", ariaLabel: `show ${name}`,
      onclick: () => this.set({ _hidden: off ? [...this.hidden].filter((c) => c !== k) : [...this.hidden, k] }),
      ondblclick: () => this.set({ _hidden: this.colour.classes.map((_, c) => c).filter((c) => c !== k) }) },
      svg(SHAPES[shape % 8], { fill: off ? "none" : colour, stroke: colour, size: 12 }));
    const label = h("button", { type: "button", className: "lk-name", title: `${name}: select (Shift adds)`, textContent: name, onclick: (event) => this.selectClass(k, event.shiftKey) });
    const row = h("li", { className: off ? "lk-off" : "" }, swatch, label);
    if (hits === undefined) row.append(h("span", { className: "lk-count", textContent: number(size) }));
    else {
      const share = hits / this.selected, [low, high] = wilson(hits, this.selected);
      const mark = (kind, left, width, background = "") => {
        const bar = h("i", { className: kind });
        Object.assign(bar.style, { left: `${100 * left}%`, width: `${100 * width}%`, background });
        return bar;
      };
      row.title = `${percent(share)} of the selection (95 % interval ${percent(low)} to ${percent(high)}); ${percent(base)} of all`;
      row.append(h("span", { className: "lk-track" }, mark("lk-fill", 0, share, colour), mark("lk-range", low, high - low), mark("lk-base", base, 0)),
        h("span", { className: `lk-count${low > base ? " lk-more-than" : ""}`, textContent: percent(share) }));
    }
    return row;
  }

  scale() {
    const { colour } = this, bins = new Float64Array(44), [low, high] = colour.range, span = high - low || 1;
    for (let i = 0; i < this.values.length; i++)
      if (this.values[i] > -1e37 && (!this.selected || this.flags[i])) bins[Math.max(0, Math.min(43, Math.floor((44 * (this.values[i] - low)) / span)))]++;
    const canvas = h("canvas", { className: "lk-histogram", width: 440, height: 88 }), pen = canvas.getContext("2d"), top = Math.max(...bins, 1);
    const table = typed(Uint8Array, colour.table);
    bins.forEach((bin, b) => {
      const at = 4 * Math.round((255 * (b + 0.5)) / 44), x = low + ((b + 0.5) / 44) * span;
      pen.globalAlpha = this.keep && (x < this.keep[0] || x > this.keep[1]) ? 0.2 : 1;
      pen.fillStyle = `rgb(${table.slice(at, at + 3)})`;
      pen.fillRect(b * 10, 88 - 4 - (80 * bin) / top, 9, 4 + (80 * bin) / top);
    });
    const ends = [Math.max(low, this.keep?.[0] ?? low), Math.min(high, this.keep?.[1] ?? high)], slider = (end) => h("input", { type: "range", min: 0, max: 1000, step: "any", value: (1000 * (ends[end] - low)) / span,
      ariaLabel: end ? "show values up to" : "show values from", onchange: (event) => {
        const keep = [...ends];
        keep[end] = low + (span * event.target.value) / 1000;
        // The scale leaves out the farthest values; an end that was not moved leaves out none.
        this.keep = keep[0] <= low && keep[1] >= high ? null : [keep[0] <= low ? -3e37 : keep[0], keep[1] >= high ? 3e38 : keep[1]];
        this.showLegend();
        this.request();
      } });
    return [canvas, h("div", { className: "lk-ends" }, slider(0), slider(1)), h("div", { className: "lk-ticks" }, h("span", { textContent: short(ends[0]) }), h("span", { textContent: short(ends[1]) }))];
  }

  // Medians of the classes on this map, largest class first.
  centres(pane) {
    const { colour } = this, xy = pane.positions();
    if (colour.kind !== "class" || colour.classes.length > 24) return [];
    if (pane.centres?.xy !== xy || pane.centres.colour !== colour || pane.centres.flags !== this.flags || pane.centres.hidden !== this.hidden) {
      const members = colour.classes.map(() => []), n = pane.map.n, skip = Math.max(1, Math.floor(n / 20000));
      for (let i = 0; i < n; i += skip) if (!this.hidden.has(this.values[i]) && (!this.selected || this.flags[i])) members[this.values[i]].push(i);
      const median = (list, c) => Float64Array.from(list, (i) => xy[2 * i + c]).sort()[list.length >> 1];
      const list = members.map((m, k) => ({ name: colour.classes[k].name, size: m.length, x: median(m, 0), y: median(m, 1) }));
      pane.centres = { xy, colour, flags: this.flags, hidden: this.hidden, list: list.filter((c) => c.size > 0).sort((p, q) => q.size - p.size) };
    }
    return pane.centres.list;
  }
}
