// Time: the epochs of a run.

import { h, short, SVG } from "./tools.js";

export class Timeline {
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
}
