// The clicked point and its true neighbours.

import { h, number, rebuilt, rich, SHAPES, short, svg, typed } from "./tools.js";

export class Neighbours {
  setFocus(i) {
    this.set({ _focus: i });
  }

  setHover(i, pane) {
    this.hover = i;
    for (const p of this.panes) p.tip.hidden = true;
    if (i >= 0 && pane) {
      const [x, y] = pane.screen(i), facts = h("span", { className: "lk-facts" });
      const words = (item) => facts.replaceChildren(h("b", { textContent: `row ${this.row(i)}` }), ...this.words(i, item).map((text) => h("span", { textContent: text })));
      words({});
      this.item(i, words);
      pane.tip.replaceChildren(...[this.pictures ? this.picture(i, 72) : null, facts].filter(Boolean));
      pane.tip.hidden = false;
      pane.tip.style.left = `${Math.max(4, Math.min(x + 14, pane.width - 190))}px`;
      pane.tip.style.top = `${Math.max(4, y > pane.height - 110 ? y - 96 : y + 12)}px`;
    }
    this.request(false);
  }

  words(i, item) {
    const { colour } = this, value = this.values?.[i];
    const says = colour.kind === "class" ? `${colour.name}: ${this.className(i)}` : colour.kind === "value" && value > -1e37 ? `${colour.name}: ${short(value)}` : "";
    return [says, item.text].filter(Boolean);
  }

  // Below each map: the chosen point, and its nearest ones in the space that the map was made from.
  showCard() {
    const { near, focus } = this;
    for (const pane of this.panes) {
      const list = near?.[pane.side], wait = focus >= 0 && !near && !this.alone ? [h("p", { className: "lk-hint", textContent: "Looking for the true neighbours…" })] : [];
      rebuilt(pane.strip, () => pane.strip.replaceChildren(...(list ? [pane.side === "left" ? this.focusCard() : null, h("div", { className: "lk-truth" }, ...this.nearList(pane), ...(pane.side === "left" ? this.starList() : []))].filter(Boolean) : wait)));
    }
    if (!near) return;
    const first = near.left, kept = first.ranks.filter((rank) => rank <= first.rows.length).length;
    this.say(`row ${this.row(focus)} ${this.className(focus)}: ${kept} of its ${first.rows.length} true neighbours are also nearest on the map`);
  }

  focusCard() {
    const facts = h("div", { className: "lk-facts" }, h("b", { textContent: `row ${this.row(this.focus)}` }));
    const { near, focus } = this; // the answer may come when another point is looked at, or none
    this.item(focus, (item) => facts.append(...[...this.words(focus, item), ...near.facts].map((text) => h("span", { textContent: text }))));
    return h("div", { className: "lk-focus" }, this.pictures ? this.picture(focus, 64) : null, facts);
  }

  nearList(pane) {
    const list = this.near[pane.side], other = this.near[pane.side === "left" ? "right" : "left"], wide = this.data.wide;
    const kept = list.ranks.filter((rank) => rank <= list.rows.length).length, torn = list.ranks.filter((rank) => rank > wide).length;
    const about = h("p", { className: "lk-hint" });
    rich(about, `**${list.rows.length} true neighbour${list.rows.length === 1 ? "" : "s"}**; this map keeps **${kept}**${torn ? ` and tears **${torn}** away (dashed)` : ""}${other ? `; **${[...list.rows].filter((j) => other.rows.includes(j)).length}** shared` : ""}`);
    const entries = [...list.rows].map((j, place) => h("button", {
      type: "button", className: `lk-near${list.ranks[place] > wide ? " lk-torn" : ""}`,
      title: `row ${this.row(j)} ${this.className(j)}: distance ${short(list.distances[place])}; ${number(list.ranks[place])}. nearest on this map`,
      ariaLabel: `neighbour ${place + 1}: row ${this.row(j)} ${this.className(j)}, distance ${short(list.distances[place])}`,
      onclick: () => this.setFocus(j), onmouseenter: () => this.setHover(j), onmouseleave: () => this.setHover(-1),
    }, this.pictures ? this.picture(j, 38) : null, this.pictures ? null : h("span", { className: "lk-id", textContent: this.row(j) }), this.dot(j), h("small", { textContent: short(list.distances[place]) })));
    return [about, h("div", { className: `lk-nears${this.pictures ? " lk-pictures" : ""}` }, ...entries)];
  }

  dot(i) {
    if (this.colour.kind !== "class") return null;
    return h("span", { className: "lk-dot" }, svg(SHAPES[this.colour.classes[this.values[i]].shape % 8], { fill: this.css(this.values[i]), stroke: "none", size: 10 }));
  }

  starList() {
    const star = this.star;
    if (!star || star.row !== this.focus) return [];
    const text = h("p", { className: "lk-hint" }), bytes = typed(Uint8Array, star.pixels), size = star.width * star.height * star.channels;
    rich(text, star.text);
    return [text, h("div", { className: "lk-views" }, ...Array.from({ length: bytes.length / size }, (_, v) => {
      const canvas = h("canvas", { className: "lk-thumb" });
      canvas.style.width = canvas.style.height = "40px";
      this.paint(canvas, { ...star, pixels: bytes.subarray(v * size, (v + 1) * size) });
      return canvas;
    }))];
  }
}
