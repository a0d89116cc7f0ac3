// The nearest point, the points inside a polygon.

export class Grid {
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
export function inside(polygon, xy, n, allowed) {
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
