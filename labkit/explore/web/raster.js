// The same without a graphics card.

import { Plot } from "./plot.js";

// A processor that imitates WebGL2 needs about a microsecond a point; writing pixels itself it is ten times as fast.
export class Raster {
  static suits(n) {
    if (n < 40000) return false;
    const gl = document.createElement("canvas").getContext("webgl2");
    if (!gl) return false;
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
    gl.getExtension("WEBGL_lose_context")?.loseContext();
    return /swiftshader|llvmpipe|software|basic render/i.test(name);
  }

  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.gl = { deleteBuffer() {} };
    this.values = { array: null };
    this.flags = { array: null };
  }

  upload(xy, n) {
    this.n = n;
    return { xy };
  }

  setBytes(buffer, array) {
    buffer.array = array;
  }

  setEdges() {
    this.edges = true; // a graph of this size is drawn around the clicked node only
  }

  setTable(colours) {
    this.table = Uint8Array.from(colours);
  }

  draw(look) {
    const { width, height } = this.canvas, { from, n, table } = this, { kind, range, keep, ratio, paper } = look;
    if (!from || !n || !width) return;
    const xy = from.buffer.xy.subarray(from.offset / 4, from.offset / 4 + 2 * n), values = this.values.array, flags = this.flags.array;
    const next = this.to.buffer.xy.subarray(this.to.offset / 4, this.to.offset / 4 + 2 * n), { blend } = look;
    const [cx, cy, k] = from.fit, [px, py, zoom] = look.camera, scale = k * zoom * ratio;
    const left = width / 2 - (cx * k + px) * zoom * ratio, top = height / 2 + (cy * k + py) * zoom * ratio;
    const image = this.pen.createImageData(width, height), pixels = image.data, side = Math.max(1, Math.round(look.size * ratio));
    pixels.set([...paper.slice(0, 3).map((v) => 255 * v), 255]);
    new Uint32Array(pixels.buffer).fill(new Uint32Array(pixels.buffer, 0, 1)[0]);
    const plain = look.plain.map((v) => 255 * v), grey = look.context.map((v) => 255 * v), step = Plot.stride(n);
    for (const stage of look.selecting || look.filtering ? [0, 1] : [1])
      for (let slot = 0, i = 0; slot < n; slot++) {
        const value = values ? values[i] : 0;
        let on = true, entry = 0;
        if (kind === 1) on = table[(entry = 4 * value) + 3] > 0;
        else if (kind === 2) {
          on = value > -1e37 && value >= keep[0] && value <= keep[1];
          entry = 4 * Math.round(255 * Math.max(0, Math.min(1, (value - range[0]) / (range[1] - range[0] || 1))));
        }
        if (look.selecting && !flags[i]) on = false;
        if (on === (stage === 1)) {
          const x = Math.floor(left + (xy[2 * i] + blend * (next[2 * i] - xy[2 * i])) * scale - side / 2 + 0.5);
          const y = Math.floor(top - (xy[2 * i + 1] + blend * (next[2 * i + 1] - xy[2 * i + 1])) * scale - side / 2 + 0.5);
          if (x >= 0 && y >= 0 && x + side <= width && y + side <= height) {
            const source = stage === 0 ? grey : kind ? table : plain, at = stage === 1 && kind ? entry : 0;
            const alpha = stage === 0 ? look.context[3] : look.opacity;
            for (let r = 0; r < side; r++)
              for (let p = 4 * ((y + r) * width + x), end = p + 4 * side; p < end; p += 4) {
                pixels[p] += alpha * (source[at] - pixels[p]);
                pixels[p + 1] += alpha * (source[at + 1] - pixels[p + 1]);
                pixels[p + 2] += alpha * (source[at + 2] - pixels[p + 2]);
              }
          }
        }
        i += step;
        if (i >= n) i -= n;
      }
    this.pen.putImageData(image, 0, 0);
  }

  dispose() {}
}
