// The panel: toolbar, legend, maps, selection, neighbours, timeline, captions. Its parts are classes in files of their
// own; their methods become the Explorer's, and `this` in them is the Explorer.

import { Keyboard } from "./keyboard.js";
import { Legend } from "./legend.js";
import { Messages } from "./messages.js";
import { Neighbours } from "./neighbours.js";
import { Pane } from "./pane.js";
import { Selection } from "./selection.js";
import { State } from "./state.js";
import { Timeline } from "./timeline.js";
import { h, ICONS, svg } from "./tools.js";
import { Words } from "./words.js";

const KEYS = [
  ["Tab", "reaches the map and everything around it"], ["← →", "step through the true neighbours"], ["Enter", "go to the ringed point"],
  ["Space", "select the chosen point, or not"], ["s", "select it with its neighbours"], ["c", "select its class"], ["Esc", "let go, then clear"],
  ["f", "zoom to what is selected"], ["z", "the selection before"],
  ["l b p", "lasso, box, move"], ["+ − 0", "zoom in, out, whole map"], ["Shift ←", "move the map"], [", .", "epoch before, after"], ["n e", "names, edges"],
];
let count = 0;
const OVERLAY_ONLY = new Set(["_focus", "_near", "_star", "_caption", "_menu", "_progress", "_verdict", "_notice", "_arrow"]);

export class Explorer {
  constructor(model, el) {
    this.model = model;
    this.captionId = `lk-${++count}-${Math.random().toString(36).slice(2, 7)}-caption`;
    Object.assign(this, { pending: new Map(), hover: -1, focus: -1, selected: 0, near: null, hidden: new Set(), mode: "lasso", names: true, showEdges: true, playing: false, keep: null });
    this.thumbs = new Map();
    this.past = []; // selections before this one
    this.waiting = new Map();
    this.off = [];
    this.readData();
    this.build(el);
    for (const [name, react] of Object.entries({
      _left: () => this.readMap("left"), _right: () => this.readMap("right"), _colour: () => this.readColour(),
      _hidden: () => this.readColour(), _selection: () => this.readSelection(), _focus: () => this.readFocus(),
      _near: () => this.readNear(), _star: () => this.readStar(), _time: () => this.readTime(), _caption: () => this.readCaption(),
      _menu: () => this.readMenu(), _arrow: () => {}, _progress: () => this.readProgress(), _verdict: () => this.readVerdict(),
      _notice: () => this.notice(model.get("_notice")),
    })) this.on(`change:${name}`, () => {
      this.heard();
      if (name === "_near" && !this.pending.has("_focus")) react(); // an answer somebody waits for
      else this.pending.set(name, react); // with the next frame: what a click changed is on its way to Python before
      this.request(!OVERLAY_ONLY.has(name) || (name === "_focus" && this.edgesTool));
    });
    this.on("change:_wanted", () => this.readWanted());
    this.on("msg:custom", (message, buffers) => { this.heard(); this.receive(message, buffers); });
    this.readTheme();
    this.readMap("left");
    this.readMap("right");
    this.readColour();
    this.readSelection();
    this.readMenu();
    this.readTime();
    this.readCaption();
    this.readProgress();
    this.readFocus();
    this.readVerdict();
    this.notice(model.get("_notice"));
    this.watch(el);
    this.request();
  }

  // What Python took back (a stopped map) or chose itself: the menus must not say otherwise.
  readWanted() {
    const wanted = this.model.get("_wanted");
    for (const pane of this.panes) pane.chooser.value = wanted[pane.side].map;
    this.colourMenu.value = wanted.colour;
  }

  on(event, react) {
    this.model.on(event, react);
    this.off.push(() => this.model.off(event, react));
  }

  set(changes) {
    for (const [key, value] of Object.entries(changes)) this.model.set(key, value);
    this.model.save_changes();
  }

  // What moves points draws everything; a hover or a growing lasso only the overlay, which costs nothing at 1e6 points.
  request(points = true) {
    this.points ||= points;
    this.wanted ??= requestAnimationFrame(() => {
      this.wanted = null;
      if (!this.themed && this.root.isConnected) {
        this.themed = true; // colours are only known once the widget is part of the page
        this.readTheme();
        this.readColour();
      }
      for (const [name, react] of this.pending) {
        this.pending.delete(name);
        react();
      }
      const everything = this.points;
      this.points = false;
      if (this.playing) this.advance();
      for (const pane of this.panes) pane.draw(everything);
    });
  }

  dispose() {
    this.disposed = true;
    this.off.forEach((undo) => undo());
    cancelAnimationFrame(this.wanted);
    for (const pane of this.panes) pane.plot.dispose();
  }

  // ---- building

  build(el) {
    const { data } = this;
    this.modes = {};
    const tool = (name, title, onclick) => h("button", { className: "lk-tool", type: "button", title, ariaLabel: title, onclick }, svg(ICONS[name]));
    for (const [mode, title] of [["lasso", "Lasso (l): drag to select; Shift adds, Ctrl removes"], ["box", "Box (b): drag to select"], ["pan", "Move (p): drag to move; the right button always moves"]])
      this.modes[mode] = tool(mode, title, () => this.setMode(mode));
    this.namesTool = tool("names", "Class names on the map (n)", () => this.toggleNames());
    this.edgesTool = data.edges?.byteLength ? tool("edges", "Edges of the graph (e)", () => this.toggleEdges()) : null;
    this.colourMenu = h("select", { className: "lk-select", ariaLabel: "Colour by", onchange: () => this.set({ _wanted: { ...this.model.get("_wanted"), colour: this.colourMenu.value } }) });
    this.search = h("input", { className: "lk-search", type: "search", placeholder: data.standalone ? "row" : "row or text", ariaLabel: "Find a row by number or text",
      onkeydown: (event) => { event.stopPropagation(); if (event.key === "Enter") this.find(this.search.value.trim()); } });
    this.live = h("p", { className: "lk-status" });
    this.live.setAttribute("role", "status");
    const bar = h("div", { className: "lk-bar" }, h("label", { className: "lk-label" }, "colour ", this.colourMenu),
      h("span", { className: "lk-group", role: "group", ariaLabel: "What dragging does" }, ...Object.values(this.modes)),
      h("span", { className: "lk-group" }, this.namesTool, this.edgesTool, tool("home", "Whole map (0)", () => this.panes.forEach((p) => p.home())),
        tool("save", "Save a picture with its caption", () => this.savePicture())),
      this.live, this.search);
    this.notes = h("p", { className: "lk-notice", hidden: true });
    this.notes.setAttribute("role", "alert");
    this.legend = h("div", { className: "lk-legend" });
    this.picked = h("div", { className: "lk-picked" });
    this.panes = [new Pane(this, "left")];
    if (this.model.get("_right").n) this.panes.push(new Pane(this, "right"));
    this.timeline = h("div", { className: "lk-time", hidden: true });
    this.root = h("div", { className: `lk-explorer${this.panes.length > 1 ? " lk-two" : ""}` }, bar, this.notes,
      h("div", { className: "lk-main" }, h("div", { className: "lk-panes" }, ...this.panes.map((p) => p.root)),
        h("aside", { className: "lk-side" }, this.legend, this.picked)),
      this.timeline, h("div", { className: "lk-belows" }, ...this.panes.map((p) => p.below)),
      h("footer", { className: "lk-about" }, h("span", { textContent: data.note ?? "" }), this.help()));
    this.root.addEventListener("keydown", (event) => this.keepKeys(event));
    this.root.style.setProperty("--lk-height", `${data.height}px`);
    this.panes[0].caption.id = this.captionId;
    this.root.explorer = this; // for tests and for the curious at the browser's console
    el.replaceChildren(this.root);
    this.setMode(this.mode);
    this.namesTool.ariaPressed = "true";
    if (this.edgesTool) this.edgesTool.ariaPressed = "true";
  }

  help() {
    const keys = KEYS.map(([key, text]) => h("div", {}, h("kbd", { textContent: key }), ` ${text}`));
    return h("details", { className: "lk-help" }, h("summary", { textContent: "Keys" }), h("div", {}, ...keys));
  }

  setMode(mode) {
    this.mode = mode;
    for (const [name, button] of Object.entries(this.modes)) button.ariaPressed = String(name === mode);
    this.root.dataset.mode = mode;
  }

  toggleNames() {
    this.names = !this.names;
    this.namesTool.ariaPressed = String(this.names);
    this.request();
  }

  toggleEdges() {
    this.showEdges = !this.showEdges;
    this.edgesTool.ariaPressed = String(this.showEdges);
    this.request();
  }

  choose(side, change) {
    const wanted = this.model.get("_wanted");
    this.set({ _wanted: { ...wanted, [side]: { ...wanted[side], ...change } } });
  }

  watch(el) {
    const sized = new ResizeObserver(() => this.request(false));
    sized.observe(this.root);
    const themed = new MutationObserver(() => this.retheme());
    themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
    const kernel = this.model.widget_manager?.kernel;
    const gone = () => {
      if (["dead", "terminating", "restarting", "autorestarting"].includes(kernel.status) || kernel.isDisposed) this.closed();
    };
    kernel?.statusChanged?.connect(gone);
    kernel?.disposed?.connect(gone);
    this.off.push(() => { sized.disconnect(); themed.disconnect(); kernel?.statusChanged?.disconnect(gone); kernel?.disposed?.disconnect(gone); });
  }

  retheme() {
    this.readTheme();
    this.readColour();
    this.request();
  }

  closed() {
    this.alone = true;
    this.notice("The kernel was closed: this map keeps its last state, and selecting still works, but Python no longer hears it. Run the cell again to go on.");
  }
}

for (const { prototype } of [Messages, State, Legend, Selection, Neighbours, Keyboard, Timeline, Words])
  for (const name of Object.getOwnPropertyNames(prototype))
    if (name !== "constructor") Explorer.prototype[name] = prototype[name];
