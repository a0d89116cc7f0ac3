// Reading the model: what Python, or the reader through it, has changed.

import { h, typed } from "./tools.js";

export class State {
  readData() {
    this.data = this.model.get("_data");
    this.rows = this.data.rows ? typed(Int32Array, this.data.rows) : null;
    this.sheet = this.data.sheet?.pixels ? typed(Uint8Array, this.data.sheet.pixels) : null;
    this.pictures = Boolean(this.data.sheet);
  }

  readMap(side) {
    const pane = this.panes.find((p) => p.side === side), map = this.model.get(`_${side}`);
    if (!pane || !map.n) return;
    pane.setMap(map);
    pane.time = this.model.get("_time");
    if (!pane.plot.edges && this.data.edges?.byteLength) pane.plot.setEdges(typed(Int32Array, this.data.edges));
    pane.title.textContent = map.space;
    pane.chooser.value = map.map;
    pane.axes.replaceChildren(...(map.choices ?? []).length ? [0, 1].map((a) => {
      const menu = h("select", { className: "lk-select", ariaLabel: a ? "vertical axis" : "horizontal axis", disabled: Boolean(this.data.standalone), onchange: () => {
        const axes = [...map.axes];
        axes[a] = menu.selectedIndex;
        this.choose(side, { axes });
      } }, ...map.choices.map((choice, k) => h("option", { textContent: choice, value: k, selected: k === map.axes[a] })));
      return a ? h("span", {}, " × ", menu) : menu;
    }) : [map.names.filter(Boolean).join(" × ")]);
    this.sizePoints(pane);
    this.readNear();
  }

  sizePoints(pane) {
    pane.plot.setBytes(pane.plot.values, this.values, Float32Array);
    pane.plot.setBytes(pane.plot.flags, this.flags?.length === pane.map.n ? this.flags : null, Uint8Array);
  }

  readColour() {
    const colour = (this.colour = this.model.get("_colour")), hidden = new Set(this.model.get("_hidden"));
    const Kind = { u1: Uint8Array, u2: Uint16Array, f4: Float32Array }[colour.type];
    if (this.source !== colour.values) {
      this.source = colour.values;
      this.values = colour.kind === "none" ? null : new Float32Array(typed(Kind, colour.values));
      this.keep = null;
      for (const pane of this.panes) if (pane.map) this.sizePoints(pane);
    }
    this.hidden = hidden;
    const bytes = [];
    if (colour.kind === "class")
      colour.classes.forEach(({ colour: hex }, k) => bytes.push(...this.rgb(hex), hidden.has(k) ? 0 : 255));
    else bytes.push(...(colour.table ? typed(Uint8Array, colour.table) : [0, 0, 0, 255]));
    for (const pane of this.panes) pane.plot.setTable(bytes, colour.kind === "class" ? colour.classes.map((c) => c.shape) : null);
    this.showLegend();
    this.showPicked();
    if (this.near) this.showCard();
  }

  rgb(hex) {
    const rgb = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    if (!this.theme.dark) return rgb;
    const light = (0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2]) / 255; // dark colours are lifted off dark paper
    const lift = light < 0.02 ? 0.94 : Math.max(0, 0.55 - light);
    return rgb.map((v) => Math.round(v + lift * (255 - v)));
  }

  css(k) {
    return `rgb(${this.rgb(this.colour.classes[k].colour).join(",")})`;
  }

  readSelection() {
    const n = this.panes[0].map?.n ?? 0, chosen = this.model.get("_selection"), bits = typed(Uint8Array, chosen);
    if (this.drawn && chosen !== this.drawn) this.past = [...this.past.slice(-19), this.drawn];
    this.drawn = chosen;
    this.flags = new Uint8Array(n);
    this.selected = 0;
    this.nameField = null;
    this.verdict = null; // it spoke of the selection before
    if (bits.length === Math.ceil(n / 8))
      for (let i = 0; i < n; i++) this.selected += this.flags[i] = (bits[i >> 3] >> (i & 7)) & 1;
    for (const pane of this.panes) if (pane.map) pane.plot.setBytes(pane.plot.flags, this.flags, Uint8Array);
    this.showLegend();
    this.showPicked();
    const said = this.sentence();
    this.say(this.selected ? said : "");
  }

  readFocus() {
    this.focus = this.model.get("_focus");
    this.star = null;
    this.step = 0;
    for (const pane of this.panes) pane.reveal(this.focus);
    if (this.focus < 0) this.near = null;
    else if (this.data.table) this.nearFromTable();
    this.readNear();
  }

  // A page without a kernel carries the neighbours of every point along.
  nearFromTable() {
    const slice = (table) => {
      const rows = typed(Int32Array, table.rows), distances = typed(Float32Array, table.distances), k = rows.length / this.flags.length;
      const cut = (all) => all.subarray(this.focus * k, (this.focus + 1) * k);
      return { rows: cut(rows), distances: cut(distances) };
    };
    const { left, right } = this.data.table;
    this.offline = { row: this.focus, facts: [], left: slice(left), right: right ? slice(right) : null };
  }

  readNear() {
    const near = this.data.table ? this.offline : this.model.get("_near");
    if (!near || near.row !== this.focus || this.focus < 0) {
      this.near = null;
      if (this.focus >= 0) this.ask();
    } else {
      const list = (side) => side && { rows: typed(Int32Array, side.rows), distances: typed(Float32Array, side.distances) };
      this.near = { ...near, left: list(near.left), right: list(near.right), hop1: typed(Int32Array, near.hop1), hop2: typed(Int32Array, near.hop2) };
      for (const pane of this.panes) this.rank(pane, this.near[pane.side]);
    }
    this.showCard();
  }

  // Where each true neighbour comes among all points on this map: 1 is nearest.
  rank(pane, list) {
    if (!list || !pane.map) return;
    const xy = pane.positions(), [x, y] = [xy[2 * this.focus], xy[2 * this.focus + 1]];
    const far = (i) => (xy[2 * i] - x) ** 2 + (xy[2 * i + 1] - y) ** 2;
    const goals = Array.from(list.rows, (j, place) => [far(j), place]).sort((p, q) => p[0] - q[0]);
    const limits = Float64Array.from(goals, (g) => g[0]), closer = new Int32Array(limits.length + 1);
    for (let i = 0; i < pane.map.n; i++) {
      const d = far(i);
      if (d >= limits[limits.length - 1]) continue;
      let low = 0, high = limits.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (limits[middle] > d) high = middle;
        else low = middle + 1;
      }
      closer[low]++;
    }
    list.ranks = new Array(limits.length);
    let sum = 0;
    goals.forEach(([, place], order) => {
      sum += closer[order];
      list.ranks[place] = Math.max(1, sum); // the point itself is one of the closer ones
    });
  }

  readStar() {
    const star = this.model.get("_star");
    this.star = star?.row >= 0 ? { ...star, left: typed(Float32Array, star.left) } : null;
    this.showCard();
  }

  readTheme() {
    const style = getComputedStyle(this.root), parse = (text) => (text.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
    const paper = parse(style.backgroundColor), ink = parse(style.color), dark = paper[0] + paper[1] + paper[2] < 380;
    this.theme = {
      dark, paper: `rgb(${paper.slice(0, 3)})`, paperRgb: paper.slice(0, 3).map((v) => v / 255), font: style.fontFamily,
      ink: (alpha) => `rgba(${ink.slice(0, 3)},${alpha})`, accent: dark ? "#6cb6ff" : "#1f6feb", torn: dark ? "#ff8a4c" : "#d2500a",
      views: dark ? "#c79bff" : "#7a3fc4", wash: dark ? "rgba(108,182,255,.14)" : "rgba(31,111,235,.10)",
    };
    this.root.dataset.dark = dark;
  }

  look() {
    const { colour, theme } = this, kind = { none: 0, class: 1, value: 2 }[colour.kind] ?? 0, range = colour.range ?? [0, 1];
    const plain = this.rgb("#0072B2").map((v) => v / 255), keep = this.keep ?? [-3e38, 3e38];
    return {
      kind, range, keep, selecting: this.selected > 0 && colour.id !== "score", // a probe scores every point
      filtering: this.hidden.size > 0 || Boolean(this.keep) || kind === 2,
      plain: [...plain, 1], paper: [...theme.paperRgb, 1], context: theme.dark ? [0.62, 0.62, 0.64, 0.2] : [0.52, 0.52, 0.55, 0.2],
      edges: this.showEdges && this.edgesTool ? [...(theme.dark ? [0.75, 0.75, 0.78] : [0.35, 0.35, 0.4]), this.selected || this.focus >= 0 ? 0.1 : 0.22] : null,
    };
  }

  visible(i) {
    if (!this.values) return true;
    const value = this.values[i];
    if (this.colour.kind === "class") return !this.hidden.has(value);
    return !this.keep || (value >= this.keep[0] && value <= this.keep[1]);
  }

  row(i) {
    return this.rows ? this.rows[i] : i;
  }

  className(i) {
    return this.colour.kind === "class" ? this.colour.classes[this.values[i]].name : "";
  }
}
