// The Explorer's face: it draws what Python hands over and reports what the reader does. No dependency, no network.
//
//   Plot      one WebGL2 canvas: points are vertex attributes, colours a table, the selection one byte a point
//   Raster    the same for many points where WebGL2 is only imitated by the processor
//   Grid      which point is under the pointer
//   Pane      a Plot, the 2-D overlay above it (lines, rings, names), its header and the pointer
//   Explorer  toolbar and maps, and in files of their own: state, messages, legend, selection, neighbours, keyboard,
//             timeline, words
//
// All state lives in the widget model (`_selection` is a bitmask, `_focus` a point, `_time` a frame): a reader's
// action sets it, the same change handlers draw it, so what Python reads is always what is on the screen.

import { Explorer } from "./explorer.js";
import { h } from "./tools.js";

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
