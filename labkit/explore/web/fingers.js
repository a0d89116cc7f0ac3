// Pointers that are down on a map. Two of them move it and zoom, as on any map that is touched.

export class Fingers {
  constructor() {
    this.down = new Map(); // id: [x, y]
  }

  // Whether this move was half of a pinch, which the pane has followed.
  pinched(pane, id, here) {
    if (this.down.size !== 2 || !this.down.has(id)) return false;
    const [wide, x, y] = this.span();
    this.down.set(id, here);
    const [wider, x1, y1] = this.span();
    pane.pan(x1 - x, y1 - y);
    pane.zoom(wider / Math.max(wide, 1), [x1, y1]);
    return true;
  }

  // How far the two are from each other, and the middle between them.
  span() {
    const [[ax, ay], [bx, by]] = this.down.values();
    return [Math.hypot(ax - bx, ay - by), (ax + bx) / 2, (ay + by) / 2];
  }
}
