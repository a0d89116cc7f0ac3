// Points and lines by WebGL2.

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

export class Plot {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("no WebGL2");
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
