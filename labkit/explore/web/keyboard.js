// Keyboard and search.

import { short } from "./tools.js";

export class Keyboard {
  // A notebook takes bare letters and arrows for commands ("m", or "d" twice, and the map is gone) wherever the keyboard
  // is inside a cell. Those with Ctrl, Alt or Cmd, and Shift+Enter, stay the notebook's.
  keepKeys(event) {
    const command = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
    if (!command) event.stopPropagation();
  }

  key(event, pane) {
    const { key } = event, arrow = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
    const steps = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[key];
    const actions = {
      l: () => this.setMode("lasso"), b: () => this.setMode("box"), p: () => this.setMode("pan"), n: () => this.toggleNames(),
      e: () => this.edgesTool && this.toggleEdges(), 0: () => pane.home(), "+": () => pane.zoom(1.4), "=": () => pane.zoom(1.4), "-": () => pane.zoom(1 / 1.4),
      f: () => pane.frameSelection(), z: () => this.undo(),
      " ": () => this.focus >= 0 && this.toggle(this.focus), s: () => this.selectNear(),
      c: () => this.focus >= 0 && this.colour.kind === "class" && this.selectClass(this.values[this.focus]),
      Enter: () => this.setFocus(this.hover >= 0 ? this.hover : pane.pick(pane.width / 2, pane.height / 2, 1e6)),
      Escape: () => (this.model.get("_focus") >= 0 ? this.setFocus(-1) : this.select(null)), // what is drawn may be a frame behind
      ",": () => this.setTime(Math.ceil(pane.time) - 1), ".": () => this.setTime(Math.floor(pane.time) + 1),
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow && event.shiftKey) pane.pan(...steps);
    else if (arrow) this.walk(arrow, pane);
    else if (actions[key]) actions[key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Arrow keys step through the true neighbours of the chosen point; Enter goes there.
  walk(by, pane) {
    if (this.focus < 0) return this.setFocus(pane.pick(pane.width / 2, pane.height / 2, 1e6));
    if (!this.near) return; // they are on their way
    const list = this.near[pane.side];
    if (!list?.rows.length) return; // a point alone
    this.step = Math.max(1, Math.min(list.rows.length, (this.step || 0) + by));
    const j = list.rows[this.step - 1];
    pane.reveal(j);
    this.setHover(j, pane);
    this.say(`neighbour ${this.step} of ${list.rows.length}: row ${this.row(j)} ${this.className(j)}, distance ${short(list.distances[this.step - 1])}`);
  }

  find(text) {
    const row = Number(text), i = this.rows ? this.rows.indexOf(row) : row;
    if (text === "") return;
    if (!this.alone) this.notice(""); // of a search before
    if (Number.isInteger(row) && i >= 0 && i < this.flags.length) this.setFocus(i);
    else if (this.data.standalone) this.notice(`No row ${text} is shown.`);
    else this.ask({ do: "find", text }); // a number may stand in a text
  }
}
