// Words around the map, and the picture that is saved with them.

import { SHAPES, clipped, h, number, rich, short, typed } from "./tools.js";

export class Words {
  readMenu() {
    this.menu = this.model.get("_menu");
    const options = (list) => Object.entries(Object.groupBy ? Object.groupBy(list, (o) => o.group) : { "": list }).map(([group, members]) => {
      const nodes = members.map(({ id, label }) => h("option", { value: id, textContent: label }));
      return group ? h("optgroup", { label: group }, ...nodes) : nodes;
    }).flat();
    this.colourMenu.replaceChildren(...options(this.menu.colours));
    this.colourMenu.value = this.colour.id;
    for (const pane of this.panes) {
      pane.chooser.replaceChildren(...options(this.menu.maps));
      pane.chooser.value = pane.map?.map;
      pane.chooser.disabled = this.colourMenu.disabled = Boolean(this.data.standalone);
    }
    this.showPicked();
  }

  readCaption() {
    const captions = this.model.get("_caption");
    this.panes.forEach((pane, place) => {
      const moved = pane.map?.notes?.[Math.round(pane.time)];
      rich(pane.caption, [captions[place], moved].filter(Boolean).join(" "));
    });
  }

  readProgress() {
    const progress = this.model.get("_progress");
    for (const [place, pane] of this.panes.entries()) {
      const side = progress[pane.side] ? pane.side : place === 0 && progress.colour ? "colour" : null, job = progress[side];
      pane.progress.hidden = !job;
      if (!job) continue;
      const bar = h("progress", { ariaLabel: job.label });
      if (job.share >= 0) bar.value = job.share;
      pane.progress.replaceChildren(`${job.label} `, bar, h("button", { type: "button", className: "lk-button", textContent: "Stop", onclick: () => this.ask({ do: "stop", side }) }));
    }
  }

  say(text) {
    this.live.textContent = text.replaceAll("**", "");
  }

  notice(text) {
    this.notes.textContent = text ?? "";
    this.notes.hidden = !text;
  }

  // Laid out before the sheet is cut: nothing that stands on the page is missing from its picture.
  savePicture() {
    const panes = this.panes, ratio = panes[0].ratio, width = panes.reduce((sum, p) => sum + p.width, 0), height = panes[0].height;
    const font = `13px ${this.theme.font}`, sheet = h("canvas"), pen = sheet.getContext("2d"), line = 18;
    pen.font = font;
    const legend = this.legendEntries(pen, width - 28), top = height + 24 + (legend.at(-1).row + 1) * line;
    const says = panes.map((p) => wrap(pen, `${p.map.space ? `${p.map.space}: ` : ""}${p.caption.textContent}`, p.width - 28));
    const note = wrap(pen, this.data.note ?? "", width - 28), below = top + Math.max(...says.map((lines) => lines.length)) * line;
    const high = below + note.length * line;
    Object.assign(sheet, { width: width * ratio, height: high * ratio }); // which forgets the font
    pen.scale(ratio, ratio);
    pen.fillStyle = this.theme.paper;
    pen.fillRect(0, 0, width, high);
    pen.font = font;
    for (const { text, swatch, shape, x, row } of legend) {
      const y = height + 18 + row * line;
      if (swatch) {
        const mark = new Path2D();
        mark.addPath(new Path2D(SHAPES[shape % 8]), new DOMMatrix([0.7, 0, 0, 0.7, 14 + x, y - 10.5]));
        pen.fillStyle = swatch;
        pen.fill(mark);
      }
      pen.fillStyle = this.theme.ink(0.9);
      pen.fillText(text, 14 + x + (swatch ? 14 : 0), y);
    }
    pen.fillStyle = this.theme.ink(0.9);
    let left = 0;
    panes.forEach((pane, place) => {
      pane.draw();
      for (const layer of [pane.canvas, pane.overlay]) pen.drawImage(layer, left, 0, pane.width, height);
      says[place].forEach((text, k) => pen.fillText(text, left + 14, top + k * line));
      left += pane.width;
    });
    note.forEach((text, k) => pen.fillText(text, 14, below + k * line));
    h("a", { href: sheet.toDataURL("image/png"), download: "explorer.png" }).click();
  }

  // What the colours mean, in rows: the first 40 classes, or steps of the scale.
  legendEntries(pen, width) {
    const { colour } = this, entries = [{ text: [colour.name, colour.about].filter(Boolean).join(", ") }];
    if (colour.kind === "class") {
      colour.classes.slice(0, 40).forEach(({ name, shape }, k) => entries.push({ text: name, swatch: this.css(k), shape }));
      if (colour.classes.length > 40) entries.push({ text: `and ${number(colour.classes.length - 40)} more classes` });
    } else if (colour.kind === "value") {
      const table = typed(Uint8Array, colour.table), [low, high] = colour.range;
      for (const part of [0, 0.25, 0.5, 0.75, 1]) {
        const at = 4 * Math.round(255 * part);
        entries.push({ text: short(low + part * (high - low)), swatch: `rgb(${table.slice(at, at + 3)})`, shape: 1 });
      }
    }
    let x = 0, row = 0;
    return entries.map((entry) => {
      entry.text = clipped(entry.text, (said) => pen.measureText(said).width <= width - 14);
      const wide = pen.measureText(entry.text).width + (entry.swatch ? 14 : 0);
      if (x > 0 && x + wide > width) [x, row] = [0, row + 1];
      const placed = { ...entry, x, row };
      x += wide + 16;
      return placed;
    });
  }
}

function wrap(pen, text, width) {
  const lines = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length && pen.measureText(longer).width < width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
