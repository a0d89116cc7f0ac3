// The selection, in bits and in words.

import { h, number, percent, plainly, rebuilt, rich, short, typed, wilson } from "./tools.js";

export class Selection {
  bits(flags) {
    const bits = new Uint8Array(Math.ceil(flags.length / 8));
    for (let i = 0; i < flags.length; i++) if (flags[i]) bits[i >> 3] |= 1 << (i & 7);
    return bits;
  }

  select(bits, how = "replace") {
    const old = this.current(), next = bits ?? new Uint8Array(0);
    if (how === "add") for (let b = 0; b < next.length; b++) next[b] |= old[b];
    if (how === "subtract") for (let b = 0; b < next.length; b++) next[b] = old[b] & ~next[b];
    this.set({ _selection: new DataView(next.some((b) => b) ? next.buffer : new ArrayBuffer(0)) });
  }

  // The selection as the model holds it, which may be a frame ahead of what is drawn.
  current() {
    const bits = typed(Uint8Array, this.model.get("_selection"));
    return bits.length ? bits.slice() : new Uint8Array(Math.ceil(this.flags.length / 8));
  }

  // Back to the selection before, whoever made it; twenty are kept.
  undo() {
    const before = this.past.pop();
    if (!before) return;
    this.drawn = null; // what is left this way is not kept
    this.set({ _selection: before });
  }

  toggle(i) {
    const bits = this.current();
    bits[i >> 3] ^= 1 << (i & 7);
    this.select(bits);
  }

  selectClass(k, add) {
    this.select(this.bits(Uint8Array.from(this.values, (value) => value === k)), add ? "add" : "replace");
  }

  selectNear() {
    const flags = new Uint8Array(this.flags.length);
    for (const side of ["left", "right"]) this.near?.[side]?.rows.forEach((j) => { flags[j] = 1; });
    if (this.focus >= 0) flags[this.focus] = 1;
    this.select(this.bits(flags));
  }

  sentence() {
    const { colour, selected } = this, n = this.flags.length, head = `${number(selected)} of ${number(n)} selected (${percent(selected / n)})`;
    if (colour?.kind === "class") {
      const chosen = this.counts(this.flags), k = chosen.indexOf(Math.max(...chosen)), base = this.counts(null)[k] / n;
      const [low, high] = wilson(chosen[k], selected);
      return `**${head}**: **${percent(chosen[k] / selected)}** are ${plainly(colour.classes[k].name)} (95 % interval ${percent(low)} to ${percent(high)}), against ${percent(base)} of all.`;
    }
    if (colour?.kind !== "value") return `**${head}**.`;
    const sums = [0, 0], sizes = [0, 0], name = plainly(colour.name);
    for (let i = 0; i < n; i++) if (this.values[i] > -1e37) {
      sums[this.flags[i]] += this.values[i];
      sizes[this.flags[i]]++;
    }
    const mean = (side) => short(sums[side] / sizes[side]), rest = sizes[0] ? `, the rest ${mean(0)}` : "";
    return sizes[1] ? `**${head}**: mean ${name} ${mean(1)}${rest}.` : `**${head}**: without ${name}${rest && `${rest} on average`}.`;
  }

  showPicked() {
    const { data } = this, button = (text, title, onclick) => h("button", { type: "button", className: "lk-button", textContent: text, title, onclick });
    const saved = (this.menu?.saved ?? []).map(({ name, size }) => h("button", { type: "button", className: "lk-chip", textContent: `${name} (${number(size)})`, onclick: () => this.ask({ do: "restore", name }) }));
    const chips = saved.length ? h("p", { className: "lk-chips" }, ...saved) : null;
    if (!this.selected) {
      this.picked.replaceChildren(...[h("p", { className: "lk-hint", textContent: `Drag on the map${this.colour?.kind === "class" ? " or click a class name" : ""} to select; click a point for its true neighbours.` }), chips].filter(Boolean));
      return;
    }
    const text = h("p");
    rich(text, this.sentence());
    const lines = (this.verdict?.lines ?? []).map((line) => {
      const p = h("p", { className: "lk-verdict" });
      rich(p, line);
      return p;
    });
    // One field for as long as the selection lasts: what is being typed outlives a verdict that arrives meanwhile.
    const name = (this.nameField ??= h("input", { className: "lk-search", placeholder: "name it", ariaLabel: "Name of this selection", onkeydown: (event) => {
      event.stopPropagation();
      if (event.key === "Enter" && name.value.trim()) this.ask({ do: "save", name: name.value.trim() });
    } }));
    const actions = data.standalone ? [] : [button("Probe", "Fit a linear probe, selection against the rest, and colour every point by its score", () => this.ask({ do: "probe" })),
      button("Random blob", "Select as many points around a random one: how cluster-like does chance look?", () => this.ask({ do: "blob" }))];
    const parts = () => [text, ...lines, h("p", { className: "lk-actions" }, ...actions, button("Zoom to it", "Show the selection alone, as large as it fits (f)", () => this.panes.forEach((pane) => pane.frameSelection())),
      button("Clear", "Clear the selection (Esc); z brings it back", () => this.select(null)), data.standalone ? null : name), chips].filter(Boolean);
    rebuilt(this.picked, () => this.picked.replaceChildren(...parts())); // a verdict arrives while the keyboard is in here
  }

  readVerdict() {
    this.verdict = this.model.get("_verdict");
    this.showPicked();
  }
}
