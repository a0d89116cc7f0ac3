// One map.

import { Fingers } from "./fingers.js";
import { Grid, inside } from "./grid.js";
import { Plot } from "./plot.js";
import { Raster } from "./raster.js";
import { h, percent, typed } from "./tools.js";

export class Pane {
  constructor(ui, side) {
    this.ui = ui;
    this.side = side;
    this.camera = [0, 0, 1];
    this.time = 0;
    this.chooser = h("select", { className: "lk-select", ariaLabel: "Map", onchange: () => ui.choose(side, { map: this.chooser.value, axes: null }) });
    this.title = h("span", { className: "lk-title" });
    this.axes = h("span", { className: "lk-axes" });
    this.progress = h("span", { className: "lk-progress", hidden: true });
    this.canvas = h("canvas", { className: "lk-points" });
    this.overlay = h("canvas", { className: "lk-overlay", tabIndex: 0 });
    this.overlay.setAttribute("role", "application");
    this.overlay.setAttribute("aria-roledescription", "map of an embedding");
    this.overlay.setAttribute("aria-describedby", ui.captionId);
    this.tip = h("div", { className: "lk-tip", hidden: true });
    this.stage = h("div", { className: "lk-stage" }, this.canvas, this.overlay, this.tip);
    this.caption = h("p", { className: "lk-caption" });
    this.strip = h("div", { className: "lk-strip" });
    this.root = h("section", { className: "lk-pane" },
      h("header", { className: "lk-head" }, this.title, this.chooser, this.axes, this.progress), this.stage);
    this.below = h("div", { className: "lk-below" }, this.strip, this.caption);
    this.plot = Raster.suits(ui.data.n) ? new Raster(this.canvas) : new Plot(this.canvas);
    this.listen();
  }

  // ---- what is drawn

  setMap(map) {
    const { plot } = this, n = map.n, old = this.map;
    const glide = old && old.n === n && n < 300000 && plot instanceof Plot && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.glide) plot.gl.deleteBuffer(this.glide.buffer); // of a glide that was under way
    this.glide = null;
    if (glide) this.glide = { buffer: this.buffer, offset: this.frame() * n * 8, xy: this.positions(), view: old.view, start: performance.now() };
    else if (this.buffer) plot.gl.deleteBuffer(this.buffer);
    this.map = map;
    this.xy = typed(Float32Array, map.xy);
    this.buffer = plot.upload(this.xy, n, map.frames);
    this.camera = [0, 0, 1];
    this.grid = this.between = null;
    this.overlay.ariaLabel = map.label;
  }

  frame() {
    return Math.max(0, Math.min((this.map?.frames ?? 1) - 1, Math.floor(this.time)));
  }

  // Positions now; between two epochs they are blended as the shader does it.
  positions() {
    const { n, frames } = this.map, first = this.frame(), part = this.time - first;
    if (this.still?.all !== this.xy || this.still.first !== first) // one object while nothing moves: grid and names go by it
      this.still = { all: this.xy, first, xy: this.xy.subarray(first * n * 2, (first + 1) * n * 2) };
    const view = this.still.xy;
    if (part <= 0 || first + 1 >= frames) return view;
    if (this.between?.time !== this.time) {
      const next = this.xy.subarray((first + 1) * n * 2, (first + 2) * n * 2);
      this.between = { time: this.time, xy: view.map((value, i) => value + part * (next[i] - value)) };
    }
    return this.between.xy;
  }

  fit([x0, x1, y0, y1] = this.map.view) {
    const { width, height } = this, pad = 22;
    const scale = Math.min((width - 2 * pad) / Math.max(x1 - x0, 1e-30), (height - 2 * pad) / Math.max(y1 - y0, 1e-30));
    return [(x0 + x1) / 2, (y0 + y1) / 2, Math.max(scale, 1e-12)];
  }

  toScreen(x, y, [cx, cy, k] = this.fit()) {
    const [px, py, zoom] = this.camera;
    return [this.width / 2 + ((x - cx) * k - px) * zoom, this.height / 2 - ((y - cy) * k - py) * zoom];
  }

  screen(i) {
    const xy = this.positions(), end = this.toScreen(xy[2 * i], xy[2 * i + 1]);
    if (!this.glide) return end;
    const old = this.glide.xy, begin = this.toScreen(old[2 * i], old[2 * i + 1], this.fit(this.glide.view));
    return [0, 1].map((c) => begin[c] + this.blend * (end[c] - begin[c]));
  }

  toMap(sx, sy) {
    const [px, py, zoom] = this.camera, [cx, cy, k] = this.fit();
    return [((sx - this.width / 2) / zoom + px) / k + cx, ((this.height / 2 - sy) / zoom + py) / k + cy];
  }

  resize() {
    const box = this.overlay.getBoundingClientRect(), ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (!box.width || (box.width === this.width && box.height === this.height && ratio === this.ratio)) return false;
    [this.width, this.height, this.ratio] = [box.width, box.height, ratio];
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.round(box.width * ratio);
      canvas.height = Math.round(box.height * ratio);
    }
    return true;
  }

  pointSize() {
    const n = this.map.n, zoom = this.camera[2] ** 0.4;
    return Math.max(1.4, Math.min(11, 34 * n ** -0.22)) * Math.max(0.7, Math.min(zoom, 4));
  }

  draw(points = true) {
    points = this.resize() || points;
    if (!this.map || !this.width) return;
    if (!points) return this.drawOverlay();
    const { plot, ui } = this, n = this.map.n, first = this.frame();
    const last = Math.min(first + 1, this.map.frames - 1), fit = this.fit();
    plot.from = { buffer: this.buffer, offset: first * n * 8, fit };
    plot.to = { buffer: this.buffer, offset: last * n * 8, fit };
    this.blend = this.time - first;
    if (this.glide) {
      const s = Math.min(1, (performance.now() - this.glide.start) / 700);
      this.blend = s * s * (3 - 2 * s);
      plot.to = plot.from;
      plot.from = { buffer: this.glide.buffer, offset: this.glide.offset, fit: this.fit(this.glide.view) };
      if (s >= 1) {
        plot.gl.deleteBuffer(this.glide.buffer);
        plot.from = plot.to;
        this.glide = null;
      } else ui.request();
    }
    const opacity = Math.min(0.95, 0.92 * Math.min(1, 3000 / n) ** 0.16 * this.camera[2] ** 0.2);
    plot.draw({ ...ui.look(), blend: this.blend, camera: this.camera, ratio: this.ratio, size: this.pointSize(), opacity });
    this.drawOverlay();
  }

  drawOverlay() {
    const { ui, ratio } = this, pen = this.overlay.getContext("2d"), theme = ui.theme;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.lineCap = pen.lineJoin = "round";
    const lines = (pairs, style, width = 1.2, dash = []) => {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.setLineDash(dash);
      pen.beginPath();
      for (const [a, b] of pairs) {
        pen.moveTo(...a);
        pen.lineTo(...b);
      }
      pen.stroke();
      pen.setLineDash([]);
    };
    const line = (a, b, ...look) => lines([[a, b]], ...look);
    const ring = (i, radius, style, width = 2) => {
      for (const [extra, colour] of [[2.2, theme.paper], [0, style]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = width + extra;
        pen.beginPath();
        pen.arc(...this.screen(i), radius, 0, 7);
        pen.stroke();
      }
    };
    this.drawArrow(pen, line);
    const near = ui.near?.row === ui.focus ? ui.near : null, radius = this.pointSize() / 2 + 3;
    if (near) {
      for (const [hop, alpha] of [[near.hop2, 0.16], [near.hop1, 0.75]])
        lines(Array.from({ length: (hop?.length ?? 0) / 2 }, (_, e) => [this.screen(hop[2 * e]), this.screen(hop[2 * e + 1])]), theme.ink(alpha), 1.1);
      const list = near[this.side], here = this.screen(near.row);
      list?.rows.forEach((j, place) => {
        const torn = list.ranks[place] > ui.data.wide;
        line(here, this.screen(j), torn ? theme.torn : theme.accent, 1.4, torn ? [5, 4] : []);
      });
      list?.rows.forEach((j) => ring(j, radius - 1, theme.accent, 1.4));
    }
    if (ui.names && !ui.moving) this.drawNames(pen); // finding the middle of each class would cost a frame
    this.drawStar(pen, line);
    if (ui.hover >= 0) ring(ui.hover, radius + 1, theme.ink(0.9));
    if (ui.focus >= 0) ring(ui.focus, radius + 2, theme.torn, 2.4);
    if (this.path?.length > 1) {
      pen.beginPath();
      this.path.forEach((p) => pen.lineTo(...p));
      pen.closePath();
      pen.fillStyle = theme.wash;
      pen.fill();
      pen.strokeStyle = theme.accent;
      pen.lineWidth = 1.5;
      pen.stroke();
    }
  }

  // The direction of the selection's probe, as long as the share of it that lies in this plane.
  drawArrow(pen, line) {
    const arrow = this.ui.model.get("_arrow")[this.side];
    if (!arrow) return;
    const { theme } = this.ui, [x, y] = arrow.direction, length = 0.42 * Math.min(this.width, this.height) * arrow.share;
    const begin = this.toScreen(0, 0), end = [begin[0] + x * length, begin[1] - y * length];
    line(begin, end, theme.ink(0.85), 2.2, arrow.share < 0.5 ? [6, 5] : []);
    for (const turn of [2.6, -2.6]) {
      const angle = Math.atan2(-y, x) + turn;
      line(end, [end[0] + 9 * Math.cos(angle), end[1] + 9 * Math.sin(angle)], theme.ink(0.85), 2.2);
    }
    this.word(pen, `probe, ${percent(arrow.share)} visible`, end[0], end[1] - 12, 11);
  }

  drawStar(pen, line) {
    const star = this.ui.star, { theme } = this.ui;
    if (!star || star.row !== this.ui.focus || !star[this.side]) return;
    const centre = this.screen(star.row), xy = star[this.side];
    for (let v = 0; v < xy.length; v += 2) {
      const tip = this.toScreen(xy[v], xy[v + 1]);
      line(centre, tip, theme.views, 1.6);
      pen.fillStyle = theme.views;
      pen.strokeStyle = theme.paper;
      pen.beginPath();
      pen.arc(...tip, 4.5, 0, 7);
      pen.fill();
      pen.stroke();
    }
  }

  word(pen, text, x, y, size, weight = 600) {
    pen.font = `${weight} ${size}px ${this.ui.theme.font}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 3.5;
    pen.strokeStyle = this.ui.theme.paper;
    pen.strokeText(text, x, y);
    pen.fillStyle = this.ui.theme.ink(0.95);
    pen.fillText(text, x, y);
  }

  drawNames(pen) {
    const taken = [];
    for (const { name, x, y } of this.ui.centres(this)) {
      const [sx, sy] = this.toScreen(x, y), letters = [...name], text = letters.length > 22 ? `${letters.slice(0, 21).join("")}…` : name;
      const box = [sx - text.length * 4, sx + text.length * 4, sy - 8, sy + 8];
      if (taken.some((t) => box[0] < t[1] && box[1] > t[0] && box[2] < t[3] && box[3] > t[2])) continue;
      taken.push(box);
      this.word(pen, text, sx, sy, 13);
    }
  }

  // ---- what the reader does

  pick(sx, sy, reach = 14) {
    if (!this.map || this.glide) return -1;
    const xy = this.positions(), zoom = this.camera[2] * this.fit()[2];
    if (this.grid?.xy !== xy) this.grid = new Grid(xy, this.map.n, this.map.view);
    return this.grid.nearest(...this.toMap(sx, sy), reach / zoom, (i) => this.ui.visible(i));
  }

  listen() {
    const { overlay, ui } = this;
    const at = (event) => {
      const box = overlay.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    overlay.addEventListener("contextmenu", (event) => event.preventDefault());
    const fingers = new Fingers();
    overlay.addEventListener("lostpointercapture", (event) => fingers.down.delete(event.pointerId));
    overlay.addEventListener("pointerdown", (event) => {
      fingers.down.set(event.pointerId, at(event));
      overlay.setPointerCapture(event.pointerId);
      overlay.focus({ preventScroll: true });
      delete ui.root.dataset.keys;
      ui.setHover(-1);
      this.drag = { start: at(event), last: at(event), pan: ui.mode === "pan" || event.button > 0, event };
      this.path = null;
      if (fingers.down.size > 1) this.drag = null;
    });
    overlay.addEventListener("pointermove", (event) => {
      const here = at(event), drag = this.drag;
      if (fingers.pinched(this, event.pointerId, here)) return;
      if (!drag) return this.hoverAt(...here);
      if (Math.hypot(here[0] - drag.start[0], here[1] - drag.start[1]) > 4) drag.moved = true;
      if (!drag.moved) return;
      if (drag.pan) this.pan(here[0] - drag.last[0], here[1] - drag.last[1]);
      else if (ui.mode === "box") this.path = [drag.start, [here[0], drag.start[1]], here, [drag.start[0], here[1]]];
      else (this.path ??= [drag.start]).push(here);
      drag.last = here;
      ui.request(false);
    });
    overlay.addEventListener("pointerup", (event) => {
      const { drag, path } = this;
      this.drag = this.path = null;
      if (!drag) return;
      if (!drag.moved) this.click(at(event), event);
      else if (path?.length > 2) this.selectInside(path.map((p) => this.toMap(...p)), event);
      ui.request(false);
    });
    overlay.addEventListener("pointercancel", () => {
      this.drag = this.path = null;
      ui.request(false);
    });
    overlay.addEventListener("pointerleave", () => ui.setHover(-1));
    overlay.addEventListener("dblclick", () => this.home());
    // The wheel belongs to the page until the map has been clicked, else a notebook cannot be scrolled past it.
    overlay.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== overlay) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), at(event));
    }, { passive: false });
    overlay.addEventListener("keydown", (event) => {
      ui.root.dataset.keys = true; // the outline is for readers who came by keyboard
      ui.key(event, this);
    });
    overlay.addEventListener("keyup", (event) => { if (event.key === "Tab") ui.root.dataset.keys = true; });
    this.canvas.addEventListener("webglcontextlost", () => this.fallBack());
  }

  // A page has graphics memory for about 16 maps; for one more, the browser takes back that of the oldest.
  fallBack() {
    const { canvas, ui } = this;
    if (ui.disposed) return;
    this.canvas = h("canvas", { className: canvas.className, width: canvas.width, height: canvas.height });
    canvas.replaceWith(this.canvas);
    this.plot = new Raster(this.canvas);
    this.glide = null;
    if (this.map) this.buffer = this.plot.upload(this.xy, this.map.n);
    ui.readColour();
    ui.sizePoints(this);
    ui.request();
    const edges = ui.edgesTool ? ", and no edges" : "";
    ui.notice(`The browser took this map's graphics memory back (too many maps on one page). It goes on with squares for all points${edges}; run the cell again to have it as it was.`);
  }

  selectInside(polygon, event) {
    this.lasso = polygon; // for tests and for the curious at the browser's console
    const bits = inside(polygon, this.positions(), this.map.n, (i) => this.ui.visible(i));
    this.ui.select(bits, event.shiftKey ? "add" : event.ctrlKey || event.metaKey ? "subtract" : "replace");
  }

  click([sx, sy], event) {
    const i = this.pick(sx, sy);
    if (i >= 0 && event.shiftKey) this.ui.toggle(i);
    else if (i >= 0 || this.ui.focus >= 0) this.ui.setFocus(i);
    else this.ui.select(null);
  }

  hoverAt(sx, sy) {
    const i = this.ui.playing ? -1 : this.pick(sx, sy);
    if (i !== this.ui.hover) this.ui.setHover(i, this);
  }

  pan(dx, dy) {
    const [x, y, zoom] = this.camera;
    this.camera = [x - dx / zoom, y + dy / zoom, zoom];
    this.ui.request();
  }

  zoom(factor, [sx, sy] = [this.width / 2, this.height / 2]) {
    const [x, y, zoom] = this.camera, next = Math.max(0.2, Math.min(2000, zoom * factor));
    const [ox, oy] = [sx - this.width / 2, this.height / 2 - sy];
    this.camera = [x + ox / zoom - ox / next, y + oy / zoom - oy / next, next];
    this.ui.request();
  }

  // What is looked at must be on the screen, however it was found.
  reveal(i) {
    if (i < 0 || !this.map || !this.width) return;
    const [x, y] = this.screen(i);
    if (x < 0 || y < 0 || x > this.width || y > this.height) this.pan(this.width / 2 - x, this.height / 2 - y);
  }

  // Zoom to what is selected.
  frameSelection() {
    const { flags } = this.ui, xy = this.positions(), [cx, cy, k] = this.fit(), pad = 40;
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let i = 0; i < flags.length; i++) if (flags[i]) {
      [x0, x1] = [Math.min(x0, xy[2 * i]), Math.max(x1, xy[2 * i])];
      [y0, y1] = [Math.min(y0, xy[2 * i + 1]), Math.max(y1, xy[2 * i + 1])];
    }
    if (x0 > x1) return;
    const fits = Math.min((this.width - 2 * pad) / ((x1 - x0) * k), (this.height - 2 * pad) / ((y1 - y0) * k));
    this.camera = [((x0 + x1) / 2 - cx) * k, ((y0 + y1) / 2 - cy) * k, Math.max(0.2, Math.min(50, fits))];
    this.ui.request();
  }

  home() {
    this.camera = [0, 0, 1];
    this.ui.request();
  }
}
