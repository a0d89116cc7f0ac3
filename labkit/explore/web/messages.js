// Talking with Python: questions, answers, and the pictures and texts that answers bring.

import { h, typed } from "./tools.js";

export class Messages {
  // An answer that does not come within five seconds is worth a word; any answer takes the word back.
  ask(message) {
    if (this.data.standalone) return;
    if (message) this.model.send(message);
    if (this.alone) return; // the kernel was closed, and the reader knows
    this.patience ??= setTimeout(() => {
      this.late = "The kernel has not answered for 5 seconds: it is busy or was closed. This map keeps its last state.";
      this.notice(this.late);
    }, 5000);
  }

  heard() {
    clearTimeout(this.patience);
    this.patience = null;
    if (this.late) this.notice("");
    this.late = null;
  }

  receive(message, buffers) {
    if (message.kind !== "items") return;
    const bytes = buffers[0] ? typed(Uint8Array, buffers[0]) : null, size = message.width * message.height * message.channels;
    message.rows.forEach((i, place) => {
      const item = { ...message, text: message.texts?.[place], pixels: bytes?.subarray(place * size, (place + 1) * size) };
      this.thumbs.set(i, item);
      const fills = this.waiting.get(i) ?? [];
      this.waiting.delete(i);
      for (const fill of fills) fill(item);
    });
    if (this.waiting.size) this.askForItems(); // wanted while the answer was on its way, or more than fit into one
  }

  // Thumbnail and text of a point: from the sheet that came along, or asked for in one message for all wanted.
  item(i, fill) {
    const sheet = this.data.sheet;
    if (sheet?.pixels && !this.data.asks) {
      const size = sheet.width * sheet.height * sheet.channels;
      return fill({ ...sheet, pixels: this.sheet.subarray(i * size, (i + 1) * size), text: this.data.texts?.[i] });
    }
    if (this.thumbs.has(i)) return fill(this.thumbs.get(i));
    if (!this.data.asks) return fill({ text: this.data.texts?.[i] });
    if (!this.waiting.size) setTimeout(() => this.askForItems(), 30);
    if (!this.waiting.has(i)) this.waiting.set(i, []);
    this.waiting.get(i).push(fill);
  }

  askForItems() {
    this.ask({ do: "items", rows: [...this.waiting.keys()].slice(0, 256) });
  }

  picture(i, side) {
    const canvas = h("canvas", { className: "lk-thumb", width: 1, height: 1 });
    canvas.style.width = canvas.style.height = `${side}px`;
    this.item(i, (item) => this.paint(canvas, item));
    return canvas;
  }

  paint(canvas, { width, height, channels, pixels }) {
    if (!pixels) return;
    canvas.width = width;
    canvas.height = height;
    canvas.classList.toggle("lk-coarse", width <= 40);
    const pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
    for (let p = 0; p < width * height; p++) {
      for (let c = 0; c < 3; c++) image.data[4 * p + c] = pixels[p * channels + (channels === 1 ? 0 : c)];
      image.data[4 * p + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
  }
}
