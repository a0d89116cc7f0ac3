// Small tools.

export const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Bytes arrive as DataViews whose offset need not be a multiple of the element size.
export function typed(Kind, view) {
  if (!view || !view.byteLength) return new Kind(0);
  const { buffer, byteOffset, byteLength } = view;
  const size = Kind.BYTES_PER_ELEMENT;
  return byteOffset % size === 0
    ? new Kind(buffer, byteOffset, byteLength / size)
    : new Kind(buffer.slice(byteOffset, byteOffset + byteLength));
}

export const number = (value) => value.toLocaleString("en-US");
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;
export const short = (value) =>
  Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(1) : String(+value.toPrecision(3));

// Rebuild what is inside `root`; the keyboard stays where it was, or at the same place once there is something again.
export function rebuilt(root, rebuild) {
  const parts = () => [...root.querySelectorAll("button, input")], named = (part) => part.ariaLabel ?? part.textContent;
  const active = root.getRootNode().activeElement, inside = root.contains(active);
  const held = inside ? { place: parts().indexOf(active), name: named(active) } : active === document.body ? root.held : null;
  rebuild();
  const now = held ? parts() : [];
  (now.find((part) => named(part) === held.name) ?? now[Math.min(held?.place, now.length - 1)])?.focus();
  root.held = now.length ? null : held;
}

// Wilson's 95 % interval for a share of `hits` among `size`.
export function wilson(hits, size) {
  const z = 1.96, p = hits / size, d = 1 + (z * z) / size;
  const middle = (p + (z * z) / (2 * size)) / d;
  const half = (z / d) * Math.sqrt((p * (1 - p)) / size + (z * z) / (4 * size * size));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

// A class's name within a sentence: its own "**" is not bold, and writing from right to left stays among its own letters.
export function plainly(name) {
  const text = name.replaceAll("**", "*\u2060*");
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/.test(text) ? `\u2068${text}\u2069` : text;
}

// As many letters as fit, counted whole: a half of an emoji is none.
export function clipped(text, fits) {
  if (fits(text)) return text;
  const letters = [...text];
  let end = letters.length;
  const said = () => `${letters.slice(0, end).join("")}…`;
  while (end && !fits(said())) end = Math.floor(0.95 * end);
  return said();
}

// Text with **bold** parts, never HTML: names of classes come from anywhere.
export function rich(node, text) {
  node.replaceChildren(...text.split("**").map((part, i) => (i % 2 ? h("b", { textContent: part }) : part)));
}

export const SHAPES = [
  "M8 1.6A6.4 6.4 0 1 1 8 14.4A6.4 6.4 0 1 1 8 1.6Z", "M2.4 2.4H13.6V13.6H2.4Z", "M8 1L14.9 12.6H1.1Z",
  "M8 .8L15.2 8L8 15.2L.8 8Z", "M8 15L1.1 3.4H14.9Z", "M5.6 1H10.4V5.6H15V10.4H10.4V15H5.6V10.4H1V5.6H5.6Z",
  "M3.2 .8L8 5.6L12.8 .8L15.2 3.2L10.4 8L15.2 12.8L12.8 15.2L8 10.4L3.2 15.2L.8 12.8L5.6 8L.8 3.2Z",
  "M8 .6L10 5.9L15.4 6L11.1 9.4L12.6 15L8 11.7L3.4 15L4.9 9.4L.6 6L6 5.9Z",
];
export const ICONS = {
  pan: "M8 1v14M1 8h14M8 1L6 3M8 1l2 2M8 15l-2-2M8 15l2-2M1 8l2-2M1 8l2 2M15 8l-2-2M15 8l-2 2",
  lasso: "M8 2.5c3.6 0 6.2 1.7 6.2 4S11.6 10.5 8 10.5 1.8 8.8 1.8 6.500 4.400 2.500 8 2.500M4.500 9.800c-1.200.8-1 2.700.5 2.700 1.600 0 1.500 1.700.3 2.300",
  box: "M2.500 5v-2.500h2.500M11 2.500h2.500v2.500M13.500 11v2.500h-2.500M5 13.500h-2.500v-2.500M7 2.500h2M7 13.500h2M2.500 7v2M13.500 7v2",
  home: "M2 8L8 2.500 14 8M4 7v6.500h8V7",
  names: "M3 13L7.300 3h1.400L13 13M4.700 9.500h6.600",
  edges: "M3.500 4.500L8 12M12.500 4.500L8 12M3.500 4.500h9M5 4.500a1.500 1.500 0 1 1-3 0a1.500 1.500 0 1 1 3 0M14 4.500a1.500 1.500 0 1 1-3 0a1.500 1.500 0 1 1 3 0M9.500 12a1.500 1.500 0 1 1-3 0a1.500 1.500 0 1 1 3 0",
  save: "M8 2v8M4.800 7L8 10.200 11.200 7M2.500 12.500v1.500h11v-1.500",
};

export function svg(path, { fill = "none", stroke = "currentColor", size = 16 } = {}) {
  const node = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true" }))
    node.setAttribute(key, value);
  const line = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({ d: path, fill, stroke, "stroke-width": 1.3, "stroke-linecap": "round", "stroke-linejoin": "round" }))
    line.setAttribute(key, value);
  node.append(line);
  return node;
}
