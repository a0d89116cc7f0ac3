// The Explorer's face: it draws what Python hands over and reports what the reader does. No dependency, no network.
//
//   Plot      one WebGL2 canvas: points are vertex attributes, colours a table, the selection one byte a point
//   Raster    the same for many points where WebGL2 is only imitated by the processor
//   Grid      which point is under the pointer
//   Pane      a Plot, the 2-D overlay above it (lines, rings, names), its header and the pointer
//   Explorer  toolbar, legend, selection, neighbours, timeline, caption
//
// All state lives in the widget model (`_selection` is a bitmask, `_focus` a point, `_time` a frame): a reader's
// action sets it, the same change handlers draw it, so what Python reads is always what is on the screen.

// ---------------------------------------------------------------- small tools

const SVG = "http://www.w3.org/2000/svg";
const MISSING = -1e38;

function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Bytes arrive as DataViews whose offset need not be a multiple of the element size.
function typed(Kind, view) {
  if (!view || !view.byteLength) return new Kind(0);
  const { buffer, byteOffset, byteLength } = view;
  const size = Kind.BYTES_PER_ELEMENT;
  return byteOffset % size === 0
    ? new Kind(buffer, byteOffset, byteLength / size)
    : new Kind(buffer.slice(byteOffset, byteOffset + byteLength));
}

const number = (value) => value.toLocaleString("en-US");
const percent = (share) => `${(100 * share).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;
const short = (value) =>
  Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(1) : String(+value.toPrecision(3));

// Wilson's 95 % interval for a share of `hits` among `size`.
function wilson(hits, size) {
  const z = 1.96, p = hits / size, d = 1 + (z * z) / size;
  const middle = (p + (z * z) / (2 * size)) / d;
  const half = (z / d) * Math.sqrt((p * (1 - p)) / size + (z * z) / (4 * size * size));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

// Text with **bold** parts, never HTML: names of classes come from anywhere.
function rich(node, text) {
  node.replaceChildren(...text.split("**").map((part, i) => (i % 2 ? h("b", { textContent: part }) : part)));
}

const SHAPES = [
  "M8 1.6A6.4 6.4 0 1 1 8 14.4A6.4 6.4 0 1 1 8 1.6Z", "M2.4 2.4H13.6V13.6H2.4Z", "M8 1L14.9 12.6H1.1Z",
  "M8 .8L15.2 8L8 15.2L.8 8Z", "M8 15L1.1 3.4H14.9Z", "M5.6 1H10.4V5.6H15V10.4H10.4V15H5.6V10.4H1V5.6H5.6Z",
  "M3.2 .8L8 5.6L12.8 .8L15.2 3.2L10.4 8L15.2 12.8L12.8 15.2L8 10.4L3.2 15.2L.8 12.8L5.6 8L.8 3.2Z",
  "M8 .6L10 5.9L15.4 6L11.1 9.4L12.6 15L8 11.7L3.4 15L4.9 9.4L.6 6L6 5.9Z",
];
const ICONS = {
  pan: "M8 1v14M1 8h14M8 1L6 3M8 1l2 2M8 15l-2-2M8 15l2-2M1 8l2-2M1 8l2 2M15 8l-2-2M15 8l-2 2",
  lasso: "M8 2.5c3.6 0 6.2 1.7 6.2 4S11.6 10.5 8 10.5 1.8 8.8 1.8 6.500 4.400 2.500 8 2.500M4.500 9.800c-1.200.8-1 2.700.5 2.700 1.600 0 1.500 1.700.3 2.300",
  box: "M2.500 5v-2.500h2.500M11 2.500h2.500v2.500M13.500 11v2.500h-2.500M5 13.500h-2.500v-2.500M7 2.500h2M7 13.500h2M2.500 7v2M13.500 7v2",
  home: "M2 8L8 2.500 14 8M4 7v6.500h8V7",
  names: "M3 13L7.300 3h1.400L13 13M4.700 9.500h6.600",
  edges: "M3.500 4.500L8 12M12.500 4.500L8 12M3.500 4.500h9M5 4.500a1.500 1.500 0 1 1-3 0a1.500 1.500 0 1 1 3 0M14 4.500a1.500 1.500 0 1 1-3 0a1.500 1.500 0 1 1 3 0M9.500 12a1.500 1.500 0 1 1-3 0a1.500 1.500 0 1 1 3 0",
  save: "M8 2v8M4.800 7L8 10.200 11.200 7M2.500 12.500v1.500h11v-1.500",
};

function svg(path, { fill = "none", stroke = "currentColor", size = 16 } = {}) {
  const node = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true" }))
    node.setAttribute(key, value);
  const line = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({ d: path, fill, stroke, "stroke-width": 1.3, "stroke-linecap": "round", "stroke-linejoin": "round" }))
    line.setAttribute(key, value);
  node.append(line);
  return node;
}

// ---------------------------------------------------------------- Plot: WebGL2

const POSITION = `#version 300 es
in vec2 a; in vec2 b; in float value; in float flag;
uniform vec3 fit_a, fit_b, camera;          // centre and pixels a unit; x, y and zoom
uniform float blend; uniform vec2 half_size;
vec4 place() {
  vec2 p = mix((a - fit_a.xy) * fit_a.z, (b - fit_b.xy) * fit_b.z, blend);
  return vec4((p - camera.xy) * camera.z / half_size, 0.0, 1.0);
}
`;

const POINT_VERTEX = POSITION + `
uniform sampler2D table;                     // row 0: colours (alpha 0: filtered away), row 1: shapes
uniform int kind, stage;                     // kind 0 plain, 1 classes, 2 values; stage 0 context, 1 points
uniform vec2 range, keep; uniform bool selecting; uniform float size; uniform vec4 plain;
out vec4 tint; flat out int shape;
void main() {
  bool on = true; tint = plain; shape = 0;
  if (kind == 1) {
    int k = int(value);
    tint = texelFetch(table, ivec2(k, 0), 0);
    shape = int(texelFetch(table, ivec2(k, 1), 0).r * 255.0 + 0.5);
    on = tint.a > 0.0;
  } else if (kind == 2) {
    on = value > -1e37 && value >= keep.x && value <= keep.y;
    float s = clamp((value - range.x) / max(range.y - range.x, 1e-30), 0.0, 1.0);
    tint = texelFetch(table, ivec2(int(s * 255.0 + 0.5), 0), 0);
  }
  if (selecting && flag < 0.5) on = false;
  if (on != (stage == 1)) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); gl_PointSize = 1.0; return; }
  gl_Position = place();
  gl_PointSize = stage == 1 ? size : max(size * 0.8, 1.0);
}`;

const POINT_FRAGMENT = `#version 300 es
precision highp float; precision highp int;
in vec4 tint; flat in int shape;
uniform float size, opacity; uniform vec4 paper, context; uniform int stage;
out vec4 colour;
float bars(vec2 p) { return min(max(abs(p.x) - 0.32, abs(p.y) - 0.92), max(abs(p.x) - 0.92, abs(p.y) - 0.32)); }
float star(vec2 p) {
  float seg = 1.2566371, t = mod(atan(p.x, p.y) + seg / 2.0, seg) - seg / 2.0;
  vec2 q = length(p) * vec2(cos(t), abs(sin(t))), edge = 0.45 * vec2(cos(seg / 2.0), sin(seg / 2.0)) - vec2(1.0, 0.0);
  return dot(q - vec2(1.0, 0.0), normalize(vec2(edge.y, -edge.x)));
}
float outline(vec2 p) {
  if (shape == 1) return max(abs(p.x), abs(p.y)) - 0.74;
  if (shape == 2) return max(abs(p.x) * 0.866 + p.y * 0.5, -p.y) - 0.5;
  if (shape == 3) return (abs(p.x) + abs(p.y) - 1.0) * 0.7071;
  if (shape == 4) return max(abs(p.x) * 0.866 - p.y * 0.5, p.y) - 0.5;
  if (shape == 5) return bars(p);
  if (shape == 6) return bars(vec2(p.x + p.y, p.x - p.y) * 0.7071);
  if (shape == 7) return star(p);
  return length(p) - 0.84;
}
void main() {
  vec4 ink = stage == 1 ? vec4(tint.rgb, opacity) : context;
  if (size < 3.0) { colour = vec4(ink.rgb * ink.a, ink.a); return; }
  vec2 p = (gl_PointCoord * 2.0 - 1.0) * vec2(1.0, -1.0);
  float pixel = 2.0 / size;
  float d = (stage == 1 && size >= 5.0 ? outline(p) : length(p) - 0.84) / pixel;      // in pixels
  float inside = clamp(0.5 - d, 0.0, 1.0);
  if (inside <= 0.0) discard;
  if (stage == 1 && size >= 7.0) ink.rgb = mix(ink.rgb, paper.rgb, 0.75 * clamp(d + 1.4, 0.0, 1.0));
  float alpha = ink.a * inside;
  colour = vec4(ink.rgb * alpha, alpha);
}`;

const LINE_VERTEX = POSITION + "void main() { gl_Position = place(); }";
const LINE_FRAGMENT = `#version 300 es
precision mediump float; uniform vec4 ink; out vec4 colour;
void main() { colour = vec4(ink.rgb * ink.a, ink.a); }`;

class Plot {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("no WebGL2");
    this.setup();
  }

  setup() {
    const gl = this.gl;
    this.points = this.program(POINT_VERTEX, POINT_FRAGMENT);
    this.lines = this.program(LINE_VERTEX, LINE_FRAGMENT);
    this.table = gl.createTexture();
    this.values = gl.createBuffer();
    this.flags = gl.createBuffer();
    this.from = this.to = null; // what is drawn: {buffer, offset, fit}, and what it glides to
    this.edges = null;
    this.n = 0;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  program(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    ["a", "b", "value", "flag"].forEach((name, slot) => gl.bindAttribLocation(program, slot, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    const uniforms = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const { name } = gl.getActiveUniform(program, i);
      uniforms[name] = gl.getUniformLocation(program, name);
    }
    return { program, uniforms };
  }

  // Rows sorted by class would hide one class under the next, so points are drawn in a golden-ratio stride.
  static stride(n) {
    const gcd = (x, y) => (y ? gcd(y, x % y) : x);
    let step = Math.max(1, Math.round(n * 0.618034));
    while (gcd(step, n) !== 1) step += 1;
    return step % Math.max(n, 1);
  }

  scatter(Kind, source, width, n, start = 0) {
    const out = new Kind(n * width), step = Plot.stride(n);
    for (let slot = 0, i = 0; slot < n; slot++) {
      if (width === 1) out[slot] = source[start + i];
      else {
        out[2 * slot] = source[start + 2 * i];
        out[2 * slot + 1] = source[start + 2 * i + 1];
      }
      i += step;
      if (i >= n) i -= n;
    }
    return out;
  }

  upload(xy, n, frames) {
    const gl = this.gl, buffer = gl.createBuffer();
    this.n = n;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, xy.byteLength, gl.STATIC_DRAW);
    for (let t = 0; t < frames; t++)
      gl.bufferSubData(gl.ARRAY_BUFFER, t * n * 8, this.scatter(Float32Array, xy, 2, n, t * n * 2));
    return buffer;
  }

  setBytes(buffer, array, Kind) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, array ? this.scatter(Kind, array, 1, this.n) : new Kind(this.n), gl.DYNAMIC_DRAW);
  }

  setEdges(pairs) {
    const gl = this.gl, n = this.n, slotOf = new Uint32Array(n), step = Plot.stride(n);
    for (let slot = 0, i = 0; slot < n; slot++) {
      slotOf[i] = slot;
      i += step;
      if (i >= n) i -= n;
    }
    this.edges = { buffer: gl.createBuffer(), count: pairs.length };
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.edges.buffer);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, Uint32Array.from(pairs, (i) => slotOf[i]), gl.STATIC_DRAW);
  }

  setTable(colours, shapes) {
    const gl = this.gl, width = colours.length / 4, bytes = new Uint8Array(width * 8);
    bytes.set(colours);
    for (let k = 0; k < width; k++) bytes[width * 4 + k * 4] = shapes ? shapes[k] : 0;
    gl.bindTexture(gl.TEXTURE_2D, this.table);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, 2, 0, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  draw(look) {
    const { gl, from, to } = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!from || !this.n) return;
    const attribute = (slot, buffer, width, type, offset) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(slot);
      gl.vertexAttribPointer(slot, width, type, false, 0, offset);
    };
    attribute(0, from.buffer, 2, gl.FLOAT, from.offset);
    attribute(1, to.buffer, 2, gl.FLOAT, to.offset);
    attribute(2, this.values, 1, gl.FLOAT, 0);
    attribute(3, this.flags, 1, gl.UNSIGNED_BYTE, 0);
    const use = ({ program, uniforms }) => {
      gl.useProgram(program);
      gl.uniform3f(uniforms.fit_a, ...from.fit);
      gl.uniform3f(uniforms.fit_b, ...to.fit);
      gl.uniform3f(uniforms.camera, ...look.camera);
      gl.uniform1f(uniforms.blend, look.blend);
      gl.uniform2f(uniforms.half_size, this.canvas.width / look.ratio / 2, this.canvas.height / look.ratio / 2);
      return uniforms;
    };
    if (this.edges && look.edges) {
      const u = use(this.lines);
      gl.uniform4f(u.ink, ...look.edges);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.edges.buffer);
      gl.drawElements(gl.LINES, this.edges.count, gl.UNSIGNED_INT, 0);
    }
    const u = use(this.points);
    gl.uniform1i(u.kind, look.kind);
    gl.uniform2f(u.range, ...look.range);
    gl.uniform2f(u.keep, ...look.keep);
    gl.uniform1i(u.selecting, look.selecting ? 1 : 0);
    gl.uniform1f(u.size, look.size * look.ratio);
    gl.uniform1f(u.opacity, look.opacity);
    gl.uniform4f(u.plain, ...look.plain);
    gl.uniform4f(u.paper, ...look.paper);
    gl.uniform4f(u.context, ...look.context);
    gl.bindTexture(gl.TEXTURE_2D, this.table);
    for (const stage of look.selecting || look.filtering ? [0, 1] : [1]) {
      gl.uniform1i(u.stage, stage);
      gl.drawArrays(gl.POINTS, 0, this.n);
    }
  }

  dispose() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext(); // browsers allow about 16 contexts a page
  }
}

// ---------------------------------------------------------------- Raster: the same without a graphics card

// A processor that imitates WebGL2 needs about a microsecond a point; writing pixels itself it is ten times as fast.
class Raster {
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

// ---------------------------------------------------------------- Grid: nearest point, points inside a polygon

class Grid {
  constructor(xy, n, [x0, x1, y0, y1]) {
    this.xy = xy;
    this.side = Math.max(1, Math.min(1024, Math.ceil(Math.sqrt(n / 2))));
    this.x0 = x0;
    this.y0 = y0;
    this.cell = Math.max(x1 - x0, y1 - y0, 1e-12) / this.side;
    const { side } = this, cells = new Uint32Array(n);
    this.start = new Uint32Array(side * side + 1);
    const { cell } = this, last = side - 1;
    for (let i = 0; i < n; i++) {
      let c = ((xy[2 * i] - x0) / cell) | 0, r = ((xy[2 * i + 1] - y0) / cell) | 0; // points beyond the view go to the rim
      c = c < 0 ? 0 : c > last ? last : c;
      r = r < 0 ? 0 : r > last ? last : r;
      cells[i] = r * side + c;
      this.start[cells[i] + 1]++;
    }
    for (let c = 0; c < side * side; c++) this.start[c + 1] += this.start[c];
    const next = this.start.slice();
    this.items = new Uint32Array(n);
    for (let i = 0; i < n; i++) this.items[next[cells[i]]++] = i;
  }

  clamp(value) {
    return Math.max(0, Math.min(this.side - 1, Math.floor(value)));
  }

  nearest(x, y, radius, allowed) {
    const { xy, side, cell } = this;
    const [c0, c1] = [x - radius, x + radius].map((v) => this.clamp((v - this.x0) / cell));
    const [r0, r1] = [y - radius, y + radius].map((v) => this.clamp((v - this.y0) / cell));
    let best = -1, reach = radius * radius;
    for (let r = r0; r <= r1; r++)
      for (let k = this.start[r * side + c0]; k < this.start[r * side + c1 + 1]; k++) {
        const i = this.items[k], dx = xy[2 * i] - x, dy = xy[2 * i + 1] - y, d = dx * dx + dy * dy;
        if (d <= reach && allowed(i)) {
          reach = d;
          best = i;
        }
      }
    return best;
  }
}

// Even-odd rule, exactly; each point meets only the polygon's edges that cross its horizontal strip.
function inside(polygon, xy, n, allowed) {
  const xs = polygon.map((p) => p[0]), ys = polygon.map((p) => p[1]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const strips = 256, scale = strips / Math.max(y1 - y0, 1e-300), bits = new Uint8Array(Math.ceil(n / 8));
  const strip = (y) => Math.max(0, Math.min(strips - 1, Math.floor((y - y0) * scale)));
  const edges = Array.from({ length: strips }, () => []);
  polygon.forEach(([ax, ay], i) => {
    const [bx, by] = polygon[(i + 1) % polygon.length];
    if (ay === by) return;
    for (let s = strip(Math.min(ay, by)); s <= strip(Math.max(ay, by)); s++) edges[s].push([ax, ay, bx, by]);
  });
  for (let i = 0; i < n; i++) {
    const x = xy[2 * i], y = xy[2 * i + 1];
    if (x < x0 || x > x1 || y < y0 || y > y1) continue;
    let odd = false;
    for (const [ax, ay, bx, by] of edges[strip(y)])
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
    if (odd && allowed(i)) bits[i >> 3] |= 1 << (i & 7);
  }
  return bits;
}

// ---------------------------------------------------------------- Pane: one map

class Pane {
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
    this.overlay.setAttribute("aria-describedby", ui.ids.caption);
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
    const view = this.xy.subarray(first * n * 2, (first + 1) * n * 2);
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
    const box = this.stage.getBoundingClientRect(), ratio = Math.min(window.devicePixelRatio || 1, 2);
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
    const line = (a, b, style, width = 1.2, dash = []) => {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.setLineDash(dash);
      pen.beginPath();
      pen.moveTo(...a);
      pen.lineTo(...b);
      pen.stroke();
      pen.setLineDash([]);
    };
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
        for (let e = 0; e < (hop?.length ?? 0); e += 2) line(this.screen(hop[e]), this.screen(hop[e + 1]), theme.ink(alpha), 1.1);
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
      const [sx, sy] = this.toScreen(x, y), text = name.length > 22 ? `${name.slice(0, 21)}…` : name;
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
    overlay.addEventListener("pointerdown", (event) => {
      overlay.setPointerCapture(event.pointerId);
      overlay.focus({ preventScroll: true });
      delete ui.root.dataset.keys;
      ui.setHover(-1);
      this.drag = { start: at(event), last: at(event), pan: ui.mode === "pan" || event.button > 0, event };
      this.path = null;
    });
    overlay.addEventListener("pointermove", (event) => {
      const here = at(event), drag = this.drag;
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
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      ui.notice("The browser took this map's graphics memory back (too many maps on one page). Run the cell again to draw it.");
    });
  }

  selectInside(polygon, event) {
    const bits = inside(polygon, this.positions(), this.map.n, (i) => this.ui.visible(i));
    this.ui.select(bits, event.shiftKey ? "add" : event.ctrlKey || event.metaKey ? "subtract" : "replace",
      { by: this.ui.mode, side: this.side, polygon });
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

  home() {
    this.camera = [0, 0, 1];
    this.ui.request();
  }
}

// ---------------------------------------------------------------- Explorer: the panel and the model

const KEYS = [
  ["Tab", "reaches the map and everything around it"], ["← →", "step through the true neighbours"], ["Enter", "go to the ringed point"],
  ["Space", "select the chosen point, or not"], ["s", "select it with its neighbours"], ["c", "select its class"], ["Esc", "let go, then clear"],
  ["l b p", "lasso, box, move"], ["+ − 0", "zoom in, out, whole map"], ["Shift ←", "move the map"], [", .", "epoch before, after"], ["n e", "names, edges"],
];
let count = 0;
const OVERLAY_ONLY = new Set(["_focus", "_near", "_star", "_caption", "_menu", "_progress", "_verdict", "_notice", "_arrow"]);

class Explorer {
  constructor(model, el) {
    this.model = model;
    const id = `lk-${++count}-${Math.random().toString(36).slice(2, 7)}`;
    this.ids = { caption: `${id}-caption`, row: `${id}-row` };
    Object.assign(this, { pending: new Map(), hover: -1, focus: -1, selected: 0, near: null, hidden: new Set(), mode: "lasso", names: true, showEdges: true, playing: false, keep: null, asked: new Map() });
    this.thumbs = new Map();
    this.waiting = new Map();
    this.off = [];
    this.readData();
    this.build(el);
    for (const [name, react] of Object.entries({
      _left: () => this.readMap("left", "_left"), _right: () => this.readMap("right", "_right"), _colour: () => this.readColour(),
      _hidden: () => this.readColour(), _selection: () => this.readSelection(), _focus: () => this.readFocus(),
      _near: () => this.readNear(), _star: () => this.readStar(), _time: () => this.readTime(), _caption: () => this.readCaption(),
      _menu: () => this.readMenu(), _arrow: () => {}, _progress: () => this.readProgress(), _verdict: () => this.readVerdict(),
      _notice: () => this.notice(model.get("_notice")), _data: () => this.readData(),
    })) this.on(`change:${name}`, () => {
      this.heard();
      if (name === "_near") react(); // an answer somebody waits for
      else this.pending.set(name, react); // with the next frame: what a click changed is on its way to Python before
      this.request(!OVERLAY_ONLY.has(name) || (name === "_focus" && this.edgesTool));
    });
    this.on("msg:custom", (message, buffers) => { this.heard(); this.receive(message, buffers); });
    this.readTheme();
    this.readMap("left", "_left");
    this.readMap("right", "_right");
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
    this.root.style.setProperty("--lk-height", `${data.height}px`);
    this.panes[0].caption.id = this.ids.caption;
    this.root.explorer = this; // for tests and for the curious at the browser's console
    el.replaceChildren(this.root);
    this.setMode(this.mode);
    this.namesTool.ariaPressed = this.edgesTool ? (this.edgesTool.ariaPressed = "true") : "true";
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
    kernel?.disposed?.connect(() => this.closed());
    this.off.push(() => { sized.disconnect(); themed.disconnect(); kernel?.statusChanged?.disconnect(gone); });
  }

  retheme() {
    this.readTheme();
    this.readColour();
    this.request();
  }

  closed() {
    this.notice("The kernel was closed: this map keeps its last state, and selecting still works, but Python no longer hears it. Run the cell again to go on.");
  }

  // ---- talking with Python

  // An answer that does not come within five seconds is worth a word; any answer takes the word back.
  ask(message) {
    if (this.data.standalone) return;
    if (message) this.model.send(message);
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
      for (const fill of this.waiting.get(i) ?? []) fill(item);
      this.waiting.delete(i);
    });
  }

  // Thumbnail and text of a point: from the sheet that came along, or asked for in one message for all wanted.
  item(i, fill) {
    const sheet = this.data.sheet;
    if (sheet?.pixels) {
      const size = sheet.width * sheet.height * sheet.channels;
      return fill({ ...sheet, pixels: this.sheet.subarray(i * size, (i + 1) * size), text: this.data.texts?.[i] });
    }
    if (this.thumbs.has(i)) return fill(this.thumbs.get(i));
    if (this.data.texts) return fill({ text: this.data.texts[i] });
    if (!this.data.asks) return fill({});
    if (!this.waiting.size) setTimeout(() => this.ask({ do: "items", rows: [...this.waiting.keys()].slice(0, 256) }), 30);
    if (!this.waiting.has(i)) this.waiting.set(i, []);
    this.waiting.get(i).push(fill);
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

  // ---- reading the model

  readData() {
    this.data = this.model.get("_data");
    this.rows = this.data.rows ? typed(Int32Array, this.data.rows) : null;
    this.sheet = this.data.sheet?.pixels ? typed(Uint8Array, this.data.sheet.pixels) : null;
    this.pictures = Boolean(this.data.sheet);
  }

  readMap(side, name) {
    const pane = this.panes.find((p) => p.side === side), map = this.model.get(name);
    if (!pane || !map.n) return;
    pane.setMap(map);
    pane.time = this.model.get("_time");
    if (!pane.plot.edges && this.data.edges?.byteLength) pane.plot.setEdges(typed(Int32Array, this.data.edges));
    pane.title.textContent = map.space;
    pane.chooser.value = map.map;
    pane.axes.replaceChildren(...(map.choices ?? []).length ? [0, 1].map((a) => {
      const menu = h("select", { className: "lk-select", ariaLabel: a ? "vertical axis" : "horizontal axis", onchange: () => {
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
    this.centre = null;
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
    const n = this.panes[0].map?.n ?? 0, bits = typed(Uint8Array, this.model.get("_selection"));
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
    this.star = star?.row >= 0 ? { ...star, left: typed(Float32Array, star.left), right: star.right ? typed(Float32Array, star.right) : null } : null;
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
    const plain = this.rgb("#0072B2").map((v) => v / 255), keep = this.keep ?? [MISSING * 10, 3e38];
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

  // ---- legend: what colours mean, what the selection is made of, what is filtered away

  // Members of each class among all points, or (with flags) among the selected; counted once for each selection.
  counts(flags) {
    const key = flags ? "chosen" : "all", kept = this.tally?.[key];
    if (kept && kept.values === this.values && kept.flags === flags) return kept.counts;
    const counts = new Float64Array(this.colour.classes.length);
    for (let i = 0; i < this.values.length; i++) if (!flags || flags[i]) counts[this.values[i]]++;
    this.tally = { ...this.tally, [key]: { values: this.values, flags, counts } };
    return counts;
  }

  showLegend() {
    const { colour } = this;
    if (!colour) return;
    const title = h("h3", { textContent: colour.name ?? "" });
    if (colour.about) title.append(h("small", { textContent: ` ${colour.about}` }));
    if (colour.kind === "class") this.legend.replaceChildren(title, this.classList());
    else if (colour.kind === "value") this.legend.replaceChildren(title, ...this.scale());
    else this.legend.replaceChildren();
  }

  classList() {
    const all = this.counts(null), chosen = this.selected ? this.counts(this.flags) : null, n = this.values.length;
    let order = [...all.keys()];
    if (order.length > 40) order = order.sort((p, q) => (chosen ? chosen[q] - chosen[p] : 0) || all[q] - all[p]).slice(0, 40);
    const rows = order.map((k) => this.classRow(k, all[k] / n, all[k], chosen?.[k]));
    const rest = all.length - order.length;
    if (rest) rows.push(h("li", { className: "lk-more", textContent: `and ${number(rest)} more classes` }));
    return h("ul", { className: `lk-classes${chosen ? " lk-shares" : ""}` }, ...rows);
  }

  classRow(k, base, size, hits) {
    const { name, shape } = this.colour.classes[k], off = this.hidden.has(k), colour = this.css(k);
    const swatch = h("button", { type: "button", className: "lk-swatch", ariaPressed: String(!off), title: "Show or hide (double click: only this)", ariaLabel: `show ${name}`,
      onclick: () => this.set({ _hidden: off ? [...this.hidden].filter((c) => c !== k) : [...this.hidden, k] }),
      ondblclick: () => this.set({ _hidden: this.colour.classes.map((_, c) => c).filter((c) => c !== k) }) },
      svg(SHAPES[shape % 8], { fill: off ? "none" : colour, stroke: colour, size: 12 }));
    const label = h("button", { type: "button", className: "lk-name", title: `${name}: select (Shift adds)`, textContent: name, onclick: (event) => this.selectClass(k, event.shiftKey) });
    const row = h("li", { className: off ? "lk-off" : "" }, swatch, label);
    if (hits === undefined) row.append(h("span", { className: "lk-count", textContent: number(size) }));
    else {
      const share = hits / this.selected, [low, high] = wilson(hits, this.selected);
      const mark = (kind, left, width, background = "") => {
        const bar = h("i", { className: kind });
        Object.assign(bar.style, { left: `${100 * left}%`, width: `${100 * width}%`, background });
        return bar;
      };
      row.title = `${percent(share)} of the selection (95 % interval ${percent(low)} to ${percent(high)}); ${percent(base)} of all`;
      row.append(h("span", { className: "lk-track" }, mark("lk-fill", 0, share, colour), mark("lk-range", low, high - low), mark("lk-base", base, 0)),
        h("span", { className: `lk-count${low > base ? " lk-more-than" : ""}`, textContent: percent(share) }));
    }
    return row;
  }

  scale() {
    const { colour } = this, bins = new Float64Array(44), [low, high] = colour.range, span = high - low || 1;
    for (let i = 0; i < this.values.length; i++)
      if (this.values[i] > -1e37 && (!this.selected || this.flags[i])) bins[Math.max(0, Math.min(43, Math.floor((44 * (this.values[i] - low)) / span)))]++;
    const canvas = h("canvas", { className: "lk-histogram", width: 440, height: 88 }), pen = canvas.getContext("2d"), top = Math.max(...bins, 1);
    const table = typed(Uint8Array, colour.table);
    bins.forEach((bin, b) => {
      const at = 4 * Math.round((255 * (b + 0.5)) / 44), x = low + ((b + 0.5) / 44) * span;
      pen.globalAlpha = this.keep && (x < this.keep[0] || x > this.keep[1]) ? 0.2 : 1;
      pen.fillStyle = `rgb(${table.slice(at, at + 3)})`;
      pen.fillRect(b * 10, 88 - 4 - (80 * bin) / top, 9, 4 + (80 * bin) / top);
    });
    const ends = this.keep ?? [low, high], slider = (end) => h("input", { type: "range", min: 0, max: 1000, step: "any", value: (1000 * (ends[end] - low)) / span,
      ariaLabel: end ? "show values up to" : "show values from", onchange: (event) => {
        const keep = [...ends];
        keep[end] = low + (span * event.target.value) / 1000;
        this.keep = keep[0] <= low && keep[1] >= high ? null : keep;
        this.showLegend();
        this.request();
      } });
    return [canvas, h("div", { className: "lk-ends" }, slider(0), slider(1)), h("div", { className: "lk-ticks" }, h("span", { textContent: short(ends[0]) }), h("span", { textContent: short(ends[1]) }))];
  }

  // Medians of the classes on this map, largest class first.
  centres(pane) {
    const { colour } = this, xy = pane.positions();
    if (colour.kind !== "class" || colour.classes.length > 24) return [];
    if (pane.centres?.xy !== xy || pane.centres.colour !== colour || pane.centres.flags !== this.flags || pane.centres.hidden !== this.hidden) {
      const members = colour.classes.map(() => []), n = pane.map.n, skip = Math.max(1, Math.floor(n / 20000));
      for (let i = 0; i < n; i += skip) if (!this.hidden.has(this.values[i]) && (!this.selected || this.flags[i])) members[this.values[i]].push(i);
      const median = (list, c) => Float64Array.from(list, (i) => xy[2 * i + c]).sort()[list.length >> 1];
      const list = members.map((m, k) => ({ name: colour.classes[k].name, size: m.length, x: median(m, 0), y: median(m, 1) }));
      pane.centres = { xy, colour, flags: this.flags, hidden: this.hidden, list: list.filter((c) => c.size > 0).sort((p, q) => q.size - p.size) };
    }
    return pane.centres.list;
  }

  // ---- selection

  bits(flags) {
    const bits = new Uint8Array(Math.ceil(flags.length / 8));
    for (let i = 0; i < flags.length; i++) if (flags[i]) bits[i >> 3] |= 1 << (i & 7);
    return bits;
  }

  select(bits, how = "replace", origin = {}) {
    const old = this.current(), next = bits ?? new Uint8Array(0);
    if (how === "add") for (let b = 0; b < next.length; b++) next[b] |= old[b];
    if (how === "subtract") for (let b = 0; b < next.length; b++) next[b] = old[b] & ~next[b];
    this.set({ _selection: new DataView(next.some((b) => b) ? next.buffer : new ArrayBuffer(0)), _origin: origin });
  }

  // The selection as the model holds it, which may be a frame ahead of what is drawn.
  current() {
    const bits = typed(Uint8Array, this.model.get("_selection"));
    return bits.length ? bits.slice() : new Uint8Array(Math.ceil(this.flags.length / 8));
  }

  toggle(i) {
    const bits = this.current();
    bits[i >> 3] ^= 1 << (i & 7);
    this.select(bits, "replace", { by: "click" });
  }

  selectClass(k, add) {
    this.select(this.bits(Uint8Array.from(this.values, (value) => value === k)), add ? "add" : "replace", { by: "legend", name: this.colour.classes[k].name });
  }

  selectNear() {
    const flags = new Uint8Array(this.flags.length);
    for (const side of ["left", "right"]) this.near?.[side]?.rows.forEach((j) => { flags[j] = 1; });
    if (this.focus >= 0) flags[this.focus] = 1;
    this.select(this.bits(flags), "replace", { by: "neighbours", row: this.row(this.focus) });
  }

  sentence() {
    const { colour, selected } = this, n = this.flags.length, head = `${number(selected)} of ${number(n)} selected (${percent(selected / n)})`;
    if (colour?.kind === "class") {
      const chosen = this.counts(this.flags), k = chosen.indexOf(Math.max(...chosen)), base = this.counts(null)[k] / n;
      const [low, high] = wilson(chosen[k], selected);
      return `**${head}**: **${percent(chosen[k] / selected)}** are ${colour.classes[k].name} (95 % interval ${percent(low)} to ${percent(high)}), against ${percent(base)} of all.`;
    }
    if (colour?.kind !== "value") return `**${head}**.`;
    const sums = [0, 0], sizes = [0, 0];
    for (let i = 0; i < n; i++) if (this.values[i] > -1e37) {
      sums[this.flags[i]] += this.values[i];
      sizes[this.flags[i]]++;
    }
    return `**${head}**: mean ${colour.name} ${short(sums[1] / sizes[1])}, the rest ${short(sums[0] / sizes[0])}.`;
  }

  showPicked() {
    const { data } = this, button = (text, title, onclick) => h("button", { type: "button", className: "lk-button", textContent: text, title, onclick });
    const saved = (this.menu?.saved ?? []).map(({ name, size }) => h("button", { type: "button", className: "lk-chip", textContent: `${name} (${number(size)})`, onclick: () => this.ask({ do: "restore", name }) }));
    const chips = saved.length ? h("p", { className: "lk-chips" }, ...saved) : null;
    if (!this.selected) {
      this.picked.replaceChildren(...[h("p", { className: "lk-hint", textContent: "Drag on the map or click a class name to select; click a point for its true neighbours." }), chips].filter(Boolean));
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
    const typing = name.matches(":focus");
    const actions = data.standalone ? [] : [button("Probe", "Fit a linear probe, selection against the rest, and colour every point by its score", () => this.ask({ do: "probe" })),
      button("Random blob", "Select as many points around a random one: how cluster-like does chance look?", () => this.ask({ do: "blob" }))];
    this.picked.replaceChildren(...[text, ...lines, h("p", { className: "lk-actions" }, ...actions, button("Clear", "Clear the selection (Esc)", () => this.select(null)), data.standalone ? null : name), chips].filter(Boolean));
    if (typing) name.focus();
  }

  readVerdict() {
    this.verdict = this.model.get("_verdict");
    this.showPicked();
  }

  // ---- the clicked point and its true neighbours

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
      const list = near?.[pane.side], wait = focus >= 0 && !near ? [h("p", { className: "lk-hint", textContent: "Looking for the true neighbours…" })] : [];
      pane.strip.replaceChildren(...(list ? [pane.side === "left" ? this.focusCard() : null, h("div", { className: "lk-truth" }, ...this.nearList(pane), ...(pane.side === "left" ? this.starList() : []))].filter(Boolean) : wait));
    }
    if (!near) return;
    const first = near.left, kept = first.ranks.filter((rank) => rank <= first.rows.length).length;
    this.say(`row ${this.row(focus)} ${this.className(focus)}: ${kept} of its ${first.rows.length} true neighbours are also nearest on the map`);
  }

  focusCard() {
    const facts = h("div", { className: "lk-facts" }, h("b", { textContent: `row ${this.row(this.focus)}` }));
    this.item(this.focus, (item) => facts.append(...[...this.words(this.focus, item), ...this.near.facts].map((text) => h("span", { textContent: text }))));
    return h("div", { className: "lk-focus" }, this.pictures ? this.picture(this.focus, 64) : null, facts);
  }

  nearList(pane) {
    const list = this.near[pane.side], other = this.near[pane.side === "left" ? "right" : "left"], wide = this.data.wide;
    const kept = list.ranks.filter((rank) => rank <= list.rows.length).length, torn = list.ranks.filter((rank) => rank > wide).length;
    const about = h("p", { className: "lk-hint" });
    rich(about, `**${list.rows.length} true neighbours**; this map keeps **${kept}**${torn ? ` and tears **${torn}** away (dashed)` : ""}${other ? `; **${[...list.rows].filter((j) => other.rows.includes(j)).length}** shared` : ""}`);
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

  // ---- keyboard and search

  key(event, pane) {
    const { key } = event, arrow = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
    const steps = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[key];
    const actions = {
      l: () => this.setMode("lasso"), b: () => this.setMode("box"), p: () => this.setMode("pan"), n: () => this.toggleNames(),
      e: () => this.edgesTool && this.toggleEdges(), 0: () => pane.home(), "+": () => pane.zoom(1.4), "=": () => pane.zoom(1.4), "-": () => pane.zoom(1 / 1.4),
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
    if (this.focus < 0 || !this.near) return this.setFocus(pane.pick(pane.width / 2, pane.height / 2, 1e6));
    const list = this.near[pane.side];
    this.step = Math.max(1, Math.min(list.rows.length, (this.step || 0) + by));
    const j = list.rows[this.step - 1];
    this.setHover(j, pane);
    this.say(`neighbour ${this.step} of ${list.rows.length}: row ${this.row(j)} ${this.className(j)}, distance ${short(list.distances[this.step - 1])}`);
  }

  find(text) {
    const row = Number(text), i = this.rows ? this.rows.indexOf(row) : row;
    if (text !== "" && Number.isInteger(row)) {
      if (i >= 0 && i < this.flags.length) this.setFocus(i);
      else this.say(`no row ${text} is shown`);
    } else if (text) this.ask({ do: "find", text });
  }

  // ---- time

  readTime() {
    const time = this.model.get("_time"), line = this.data.timeline;
    for (const pane of this.panes) pane.time = time;
    this.timeline.hidden = !line || this.panes[0].map.frames < 2;
    if (this.timeline.hidden) return;
    if (!this.slider) this.buildTimeline(line);
    this.slider.value = time;
    this.showTime();
    this.readCaption();
    this.readNear();
  }

  buildTimeline({ epochs, loss, events }) {
    const last = epochs.length - 1, width = 1000, height = 40;
    // Snapshots need not be evenly spaced; the slider is, so epochs are placed between the snapshots around them.
    const place = (epoch) => {
      const next = epochs.findIndex((e) => e >= epoch);
      if (next <= 0) return next < 0 ? width : 0;
      return (width * (next - 1 + (epoch - epochs[next - 1]) / (epochs[next] - epochs[next - 1]))) / last;
    };
    const chart = document.createElementNS(SVG, "svg");
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.setAttribute("preserveAspectRatio", "none");
    chart.setAttribute("aria-hidden", "true");
    const [low, high] = [Math.min(...loss.map((p) => p[1])), Math.max(...loss.map((p) => p[1]))];
    const points = loss.map(([epoch, value]) => `${place(epoch).toFixed(1)},${(height - 3 - (height - 6) * ((value - low) / (high - low || 1))).toFixed(1)}`);
    const curve = document.createElementNS(SVG, "polyline");
    curve.setAttribute("points", points.join(" "));
    chart.append(curve);
    const marks = events.map(([epoch, text]) => {
      const mark = h("button", { type: "button", className: "lk-mark", title: `epoch ${epoch}: ${text}`, ariaLabel: `go to epoch ${epoch}: ${text}`, onclick: () => this.setTime((place(epoch) * last) / width) });
      mark.style.left = `${place(epoch) / 10}%`;
      return mark;
    });
    this.play = h("button", { type: "button", className: "lk-tool lk-play", textContent: "▶", ariaLabel: "Play", title: "Play", onclick: () => this.setPlaying(!this.playing) });
    this.slider = h("input", { type: "range", min: 0, max: last, step: "any", ariaLabel: "Epoch", oninput: () => { this.setPlaying(false); this.moveTime(+this.slider.value); },
      onkeydown: (event) => {
        const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
        if (!by) return;
        event.preventDefault();
        this.setTime(by > 0 ? Math.floor(this.panes[0].time) + 1 : Math.ceil(this.panes[0].time) - 1);
      } });
    this.when = h("span", { className: "lk-when" });
    this.timeline.replaceChildren(this.play, h("div", { className: "lk-track-time" }, chart, h("div", { className: "lk-marks" }, ...marks), this.slider), this.when);
  }

  showTime() {
    const { epochs, loss } = this.data.timeline, frame = Math.round(this.panes[0].time), epoch = epochs[Math.min(frame, epochs.length - 1)];
    const at = loss.find(([e]) => e === epoch);
    this.when.textContent = `epoch ${epoch}${at ? `  ·  loss ${short(at[1])}` : ""}`;
    this.slider.setAttribute("aria-valuetext", this.when.textContent);
  }

  // While the reader scrubs only the picture follows; Python hears where it came to rest.
  moveTime(time) {
    this.moving = true;
    const last = this.data.timeline.epochs.length - 1;
    for (const pane of this.panes) pane.time = Math.max(0, Math.min(last, time));
    this.slider.value = this.panes[0].time;
    this.showTime();
    this.request();
    clearTimeout(this.settle);
    this.settle = setTimeout(() => this.setTime(this.panes[0].time), 150);
  }

  setTime(time) {
    if (!this.data.timeline) return;
    clearTimeout(this.settle);
    this.moving = false;
    this.set({ _time: Math.max(0, Math.min(this.data.timeline.epochs.length - 1, time)) });
    this.request();
  }

  setPlaying(playing) {
    const last = this.data.timeline.epochs.length - 1;
    if (playing === this.playing) return;
    this.playing = playing;
    this.play.textContent = playing ? "❚❚" : "▶";
    this.play.ariaLabel = this.play.title = playing ? "Pause" : "Play";
    if (playing && this.panes[0].time >= last) this.moveTime(0);
    this.tick = performance.now();
    if (!playing) this.setTime(this.panes[0].time);
    this.request();
  }

  advance() {
    const now = performance.now(), last = this.data.timeline.epochs.length - 1, speed = Math.max(2, last / 12); // frames a second
    const time = this.panes[0].time + ((now - this.tick) / 1000) * speed;
    this.tick = now;
    if (time >= last) {
      this.moveTime(last);
      this.setPlaying(false);
    } else this.moveTime(time);
  }

  // ---- words around the map

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

// ---------------------------------------------------------------- the widget

function render({ model, el }) {
  try {
    const explorer = new Explorer(model, el);
    return () => explorer.dispose();
  } catch (error) {
    // Never a blank: without WebGL2 the reader gets the reason and the picture that Python draws.
    const why = error.message === "no WebGL2" ? "This browser offers no WebGL2, so the map cannot be moved or selected here." : `The map could not be drawn: ${error.message}.`;
    console.error(error);
    const picture = h("img", { alt: model.get("_caption").join(" ") });
    el.replaceChildren(h("div", { className: "lk-explorer" }, h("p", { className: "lk-notice", textContent: `${why} A still picture follows.` }), picture));
    const show = (message, buffers) => {
      if (message.kind === "twin") picture.src = URL.createObjectURL(new Blob([buffers[0]], { type: "image/png" }));
    };
    model.on("msg:custom", show);
    model.send({ do: "twin" });
    return () => model.off("msg:custom", show);
  }
}

export default { render };
