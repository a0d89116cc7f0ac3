// Words around the map, and the picture that is saved with them.

import { h, rich } from "./tools.js";

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

  savePicture() {
    const panes = this.panes, ratio = panes[0].ratio, width = panes.reduce((sum, p) => sum + p.width, 0), height = panes[0].height;
    const sheet = h("canvas", { width: width * ratio, height: (height + 130) * ratio }), pen = sheet.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = this.theme.paper;
    pen.fillRect(0, 0, width, height + 130);
    pen.fillStyle = this.theme.ink(0.9);
    let left = 0;
    for (const pane of panes) {
      pane.draw();
      for (const layer of [pane.canvas, pane.overlay]) pen.drawImage(layer, left, 0, pane.width, height);
      pen.font = `13px ${this.theme.font}`;
      const words = `${pane.map.space ? `${pane.map.space}: ` : ""}${pane.map.label}. ${pane.caption.textContent}`.split(" ");
      let text = "", y = height + 40;
      for (const word of [...words, null]) {
        if (word !== null && pen.measureText(`${text} ${word}`).width < pane.width - 30) text += ` ${word}`;
        else {
          pen.fillText(text.trim(), left + 14, y);
          text = word ?? "";
          y += 18;
        }
      }
      left += pane.width;
    }
    let x = 14;
    for (const [k, { name }] of (this.colour.kind === "class" ? this.colour.classes : []).slice(0, 24).entries()) {
      pen.fillStyle = this.css(k);
      pen.fillRect(x, height + 8, 10, 10);
      pen.fillStyle = this.theme.ink(0.9);
      pen.fillText(name, x + 14, height + 18);
      x += 30 + pen.measureText(name).width;
    }
    h("a", { href: sheet.toDataURL("image/png"), download: "explorer.png" }).click();
  }
}
