// A sheet on which lines of handwriting write themselves, point by point in pen order, and on which every point can be
// asked what the network expected there.

import { mixture } from "./handwriting_sampling.js";

const SVG = "http://www.w3.org/2000/svg";
export const POINTS_PER_SECOND = 60; // at speed 1
const PAUSE = 6; // points of time that lifting the pen takes

function node(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const round = (value) => Math.round(value * 100) / 100;

/**
 * The `d` of a smooth curve through points [x, y] (Catmull–Rom, as cubic Béziers); one point alone is closed, so that
 * round caps show it.
 */
export function pathData(points) {
  const at = (x, y) => `${round(x)} ${round(y)}`;
  let d = `M${at(...points[0])}`;
  if (points.length === 1) return `${d}Z`;
  for (let n = 0; n + 1 < points.length; ++n) {
    const here = points[n], there = points[n + 1];
    const before = points[n - 1] ?? here, after = points[n + 2] ?? there;
    const leave = [0, 1].map((c) => here[c] + (there[c] - before[c]) / 6);
    const arrive = [0, 1].map((c) => there[c] - (after[c] - here[c]) / 6);
    d += `C${at(...leave)} ${at(...arrive)} ${at(...there)}`;
  }
  return d;
}

/** Points split after every end of a stroke. */
export function strokesOf(points, ends) {
  const strokes = [];
  let from = 0;
  for (let t = 0; t < points.length; ++t)
    if (ends[t] || t === points.length - 1) strokes.push(points.slice(from, (from = t + 1)));
  return strokes;
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.round(share * (sorted.length - 1))];
}

/** Lines one below the other, aligned on the left: moved points of each, and the box around all ink. */
export function placed(lines) {
  const spans = lines.map(({ points }) => {
    const ys = points.map((p) => p[1]);
    return { left: Math.min(...points.map((p) => p[0])), low: quantile(ys, 0.05), high: quantile(ys, 0.95) };
  });
  const pitch = 1.7 * Math.max(...spans.map((s) => s.high - s.low), 1e-6);
  const moved = lines.map(({ points }, n) => {
    const { left, low, high } = spans[n];
    return points.map(([x, y]) => [x - left, y - (low + high) / 2 + n * pitch]);
  });
  const all = moved.flat(), xs = all.map((p) => p[0]), ys = all.map((p) => p[1]);
  const box = { x: Math.min(...xs), y: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
  return { moved, pitch, box };
}

/** A small still picture of a line. */
export function thumbnail(line, label) {
  const { moved, pitch, box } = placed([line]);
  const edge = 0.15 * pitch;
  const svg = node("svg", {
    viewBox: [box.x - edge, box.y - edge, box.right - box.x + 2 * edge, box.bottom - box.y + 2 * edge].map(round).join(" "),
    class: "thumbnail",
    role: "img",
    "aria-label": label,
    preserveAspectRatio: "xMinYMid meet",
  });
  for (const stroke of strokesOf(moved[0], line.ends)) svg.append(node("path", { d: pathData(stroke) }));
  return svg;
}

/** Which character the window is on, in words. */
function windowWords(phi, text) {
  if (!phi) return "";
  const letter = [...text][phi.indexOf(Math.max(...phi))];
  return letter === undefined ? "the window is past the text; " : `the window is on “${letter === " " ? "␣" : letter}”; `;
}

let instances = 0;

/**
 * `root` is an element that the stage fills. `units`: {mean, deviation} of the network's offsets; a line may have its
 * own.
 */
export class PenStage {
  constructor(root, units, { label, attention = true }) {
    this.units = units;
    this.lines = [];
    this.clock = 0;
    this.speed = 1;
    this.penWidth = 1;
    this.playing = false;
    const id = `stage-${++instances}`;
    root.classList.add("stage");
    root.innerHTML = `
      <div class="sheet"></div>
      <p class="letters" aria-hidden="true"></p>
      <div class="bar">
        <button type="button" class="play">Play</button>
        <label for="${id}-at" class="hidden">Position of the pen</label>
        <input id="${id}-at" class="at" type="range" min="0" max="1" value="0" step="1">
        <label for="${id}-speed">Speed</label>
        <select id="${id}-speed" class="speed">
          <option value="0.25">¼</option><option value="0.5">½</option><option value="1" selected>1</option>
          <option value="2">2</option><option value="4">4</option><option value="10">10</option>
        </select>
      </div>
      <p class="reading" role="status"></p>
      <div class="attention" hidden>
        <canvas class="map" role="img" aria-label="Window of the network: characters upwards, steps of the pen to the right"></canvas>
      </div>`;
    const find = (selector) => root.querySelector(selector);
    this.svg = node("svg", { role: "img", "aria-label": label });
    this.inkLayer = node("g", { class: "ink", id: `${id}-ink` });
    this.densityLayer = node("g", { class: "density", id: `${id}-density` });
    const copy = (part) => node("use", { href: `#${id}-${part}`, class: `${part}-copy` });
    this.lens = node("svg", { class: "lens", "aria-hidden": "true" }, copy("ink"), copy("density"));
    this.pen = node("circle", { class: "pen", r: 0 });
    this.svg.append(this.densityLayer, this.inkLayer, this.pen);
    find(".sheet").append(this.svg, this.lens);
    root.classList.toggle("plain", !attention);
    this.root = root;
    this.letters = find(".letters");
    this.playButton = find(".play");
    this.at = find(".at");
    this.reading = find(".reading");
    this.attention = attention ? find(".attention") : null;
    this.map = find(".map");
    this.playButton.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    this.at.addEventListener("input", () => {
      this.pause();
      this.moveTo(Number(this.at.value), true);
    });
    find(".speed").addEventListener("change", (event) => (this.speed = Number(event.target.value)));
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerdown", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => this.ask(null));
    const scrub = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const line = this.current, box = this.map.getBoundingClientRect();
      const t = Math.floor(((event.clientX - box.left) / box.width) * line.points.length);
      this.pause();
      this.moveTo(line.first + Math.max(0, Math.min(line.points.length - 1, t)), true);
    };
    this.map.addEventListener("pointerdown", scrub);
    this.map.addEventListener("pointermove", scrub);
    window.addEventListener("themechange", () => this.drawMap());
    window.addEventListener("beforeprint", () => {
      this.pause();
      if (this.total) this.moveTo(this.total - 1, false);
    });
  }

  /**
   * Puts lines on the sheet: {points [x, y], ends, text, next}. `next[t]` holds `phi` and `y`, the window and the
   * outputs of the network after point t; without `next` a line cannot be asked about.
   */
  show(lines, { play = true } = {}) {
    this.pause();
    const { moved, pitch, box } = placed(lines);
    let first = 0;
    this.lines = lines.map((line, n) => {
      const points = moved[n];
      const placedLine = { ...line, points, first, strokes: strokesOf(points, line.ends) };
      first += points.length;
      return placedLine;
    });
    this.total = first;
    this.pitch = pitch;
    const edge = 0.45 * pitch;
    this.box = [box.x - edge, box.y - edge, box.right - box.x + 2 * edge, box.bottom - box.y + 2 * edge];
    this.svg.setAttribute("viewBox", this.box.map(round).join(" "));
    this.times = [];
    let now = 0;
    for (const line of this.lines) for (const end of line.ends) this.times.push((now += 1)), (now += end ? PAUSE : 0);
    this.inkLayer.replaceChildren();
    this.inkLayer.setAttribute("stroke-width", round(0.046 * pitch * this.penWidth));
    for (const line of this.lines) {
      line.paths = line.strokes.map(() => node("path"));
      this.inkLayer.append(...line.paths);
    }
    this.at.max = Math.max(1, this.total - 1);
    this.current = null;
    this.moveTo(0, false);
    if (play && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) this.play();
    else this.moveTo(this.total - 1, false);
  }

  setPenWidth(width) {
    this.penWidth = width;
    if (this.pitch) this.inkLayer.setAttribute("stroke-width", round(0.046 * this.pitch * width));
  }

  play() {
    if (!this.total) return;
    if (this.position >= this.total - 1) this.moveTo(0, false);
    this.playing = true;
    this.playButton.textContent = "Pause";
    this.clearDensity();
    let before = null;
    const frame = (now) => {
      if (!this.playing) return;
      if (before !== null) this.clock += (Math.min(now - before, 100) / 1000) * POINTS_PER_SECOND * this.speed;
      before = now;
      let position = this.position;
      while (position < this.total - 1 && this.times[position + 1] <= this.clock) ++position;
      this.moveTo(position, false, this.clock);
      if (position >= this.total - 1) this.pause();
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  pause() {
    this.playing = false;
    this.playButton.textContent = "Play";
    this.pen.setAttribute("r", 0);
  }

  lineAt(t) {
    return this.lines.find((line) => t < line.first + line.points.length) ?? this.lines.at(-1);
  }

  /** Draws the ink up to point t, and asks the network about it if `asking`. */
  moveTo(t, asking, clock = this.times[t]) {
    this.position = t;
    this.clock = clock;
    this.at.value = t;
    for (const line of this.lines) {
      let from = line.first;
      line.strokes.forEach((stroke, n) => {
        const visible = Math.max(0, Math.min(stroke.length, t + 1 - from));
        if (line.paths[n].count !== visible) {
          line.paths[n].count = visible;
          if (visible) line.paths[n].setAttribute("d", pathData(stroke.slice(0, visible)));
          else line.paths[n].removeAttribute("d");
        }
        from += stroke.length;
      });
    }
    const line = this.lineAt(t), [x, y] = line.points[t - line.first];
    this.pen.setAttribute("cx", round(x));
    this.pen.setAttribute("cy", round(y));
    this.pen.setAttribute("r", this.playing ? round(0.06 * this.pitch) : 0);
    this.at.setAttribute("aria-valuetext", `point ${t + 1} of ${this.total}`);
    this.showMoment(line, t, asking);
  }

  /** What the network expects after point t: the window's letter, and with `asking` the density of the next point. */
  showMoment(line, t, asking) {
    if (line !== this.current) {
      this.current = line;
      this.letters.replaceChildren(
        ...[...(line.text ?? "")].map((c) => Object.assign(document.createElement("span"), { textContent: c })),
      );
      this.drawMap();
    }
    const moment = line.next?.[Math.min(t - line.first, line.next.length - 1)];
    if (this.mapCursor) this.mapCursor(t - line.first);
    this.clearDensity();
    if (!moment) {
      this.reading.textContent = asking ? `Point ${t - line.first + 1} of ${line.points.length}.` : "";
      return;
    }
    const total = moment.phi?.reduce((a, b) => a + b, 0) || 1;
    [...this.letters.children].forEach((span, u) =>
      span.style.setProperty("--on", `${Math.round(100 * Math.min(1, (moment.phi?.[u] ?? 0) / total))}%`),
    );
    if (!asking) {
      this.reading.textContent = "";
      return;
    }
    const density = mixture(moment.y, line.bias ?? 0);
    this.drawDensity(density, line.points[t - line.first], line.units ?? this.units);
    const heavy = [...density.weights].filter((weight) => weight > 0.05).length;
    const lift = (100 * density.endOfStroke).toFixed(density.endOfStroke < 0.1 ? 1 : 0);
    this.reading.textContent =
      `Point ${t - line.first + 1} of ${line.points.length}: ${windowWords(moment.phi, line.text)}` +
      `${heavy} component${heavy === 1 ? "" : "s"} of the mixture above 5 %; the pen lifts with probability ${lift} %.`;
  }

  clearDensity() {
    this.densityLayer.replaceChildren();
    this.lens.classList.remove("shown");
  }

  /** Ellipses of one and two standard deviations of every component, as dark as it is probable; and a lens on them. */
  drawDensity(density, [x, y], units) {
    const { mean, deviation } = units;
    let reach = 0.1 * this.pitch; // how far from the point the lens looks
    density.weights.forEach((weight, j) => {
      if (weight < 0.01) return;
      const a = deviation[0] * density.deviation1[j], b = deviation[1] * density.deviation2[j];
      const covariance = density.correlation[j] * a * b;
      const middle = (a * a + b * b) / 2, root = Math.hypot((a * a - b * b) / 2, covariance);
      const angle = (Math.atan2(2 * covariance, a * a - b * b) * 90) / Math.PI;
      const cx = round(x + mean[0] + deviation[0] * density.mean1[j]);
      const cy = round(y + mean[1] + deviation[1] * density.mean2[j]);
      if (weight > 0.05) reach = Math.max(reach, Math.hypot(cx - x, cy - y) + 2 * Math.max(a, b));
      for (const sigmas of [2, 1])
        this.densityLayer.append(
          node("ellipse", {
            cx,
            cy,
            rx: round(sigmas * Math.sqrt(middle + root)),
            ry: round(sigmas * Math.sqrt(Math.max(0, middle - root))),
            transform: `rotate(${round(angle)} ${cx} ${cy})`,
            "fill-opacity": round(0.08 + 0.5 * weight),
          }),
        );
    });
    reach = Math.min(1.1 * reach, this.pitch);
    this.lens.setAttribute("viewBox", [x - reach, y - reach, 2 * reach, 2 * reach].map(round).join(" "));
    this.lens.classList.add("shown");
  }

  hover(event) {
    if (!this.total) return;
    const matrix = this.svg.getScreenCTM().inverse();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    let best = null, distance = this.pitch;
    for (const line of this.lines)
      line.points.forEach(([x, y], n) => {
        const d = Math.hypot(x - at.x, y - at.y);
        if (line.first + n <= this.position && d < distance) (distance = d), (best = line.first + n);
      });
    this.ask(best);
  }

  /** Shows the moment of point t without moving the pen; null takes it away. */
  ask(t) {
    if (this.playing) return;
    if (t === null) {
      this.clearDensity();
      return;
    }
    const line = this.lineAt(t), [x, y] = line.points[t - line.first];
    this.pen.setAttribute("cx", round(x));
    this.pen.setAttribute("cy", round(y));
    this.pen.setAttribute("r", round(0.05 * this.pitch));
    this.showMoment(line, t, true);
  }

  /** The attention map of the current line: characters upwards, steps to the right. */
  drawMap() {
    const line = this.current;
    this.mapCursor = null;
    if (!this.attention || !line?.next?.[0].phi) {
      if (this.attention) this.attention.hidden = true;
      return;
    }
    this.attention.hidden = false;
    const text = [...line.text], steps = line.next.length;
    const cell = Math.min(16, Math.max(9, 240 / text.length)), gutter = 18;
    const width = Math.max(200, this.attention.clientWidth), height = Math.round(cell * text.length);
    const ratio = window.devicePixelRatio || 1;
    this.map.width = Math.round(width * ratio);
    this.map.height = Math.round(height * ratio);
    this.map.style.height = `${height}px`;
    const style = getComputedStyle(this.root), colour = (name) => style.getPropertyValue(name).trim();
    const context = this.map.getContext("2d"), across = width - gutter;
    const edge = (t) => gutter + Math.round((ratio * t * across) / steps) / ratio; // on whole pixels: no seams
    const draw = (cursor) => {
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      context.font = `${Math.min(12, cell)}px ui-monospace, monospace`;
      context.textBaseline = "middle";
      const now = line.next[Math.max(0, Math.min(cursor, steps - 1))];
      text.forEach((c, u) => {
        context.fillStyle = now && now.phi[u] > 0.3 ? colour("--accent") : colour("--quiet");
        context.fillText(c === " " ? "␣" : c, 2, height - (u + 0.5) * cell);
      });
      context.fillStyle = colour("--accent");
      const greatest = Math.max(...line.next.map((moment) => Math.max(...moment.phi.subarray(0, text.length))), 1e-9);
      line.next.forEach((moment, t) => {
        for (let u = 0; u < text.length; ++u) {
          const share = moment.phi[u] / greatest;
          if (share < 0.02) continue;
          context.globalAlpha = Math.min(1, share) ** 0.5;
          context.fillRect(edge(t), height - (u + 1) * cell, edge(t + 1) - edge(t), cell - 1);
        }
      });
      context.globalAlpha = 1;
      context.fillStyle = colour("--ink");
      if (cursor >= 0) context.fillRect(gutter + ((cursor + 0.5) * across) / steps - 0.75, 0, 1.5, height);
    };
    this.mapCursor = draw;
    draw(-1);
  }

  /** The whole sheet as a document of its own: one path per stroke, nothing filled, as pen plotters need it. */
  svgText(title) {
    const [x, y, width, height] = this.box, scale = 10 / this.pitch; // a line is then 10 mm high
    const paths = this.lines
      .map((line) => `<g>\n${line.strokes.map((s) => `<path d="${pathData(s)}"/>`).join("\n")}\n</g>`)
      .join("\n");
    const escaped = title.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    return (
      `<svg xmlns="${SVG}" width="${round(width * scale)}mm" height="${round(height * scale)}mm" ` +
      `viewBox="${[x, y, width, height].map(round).join(" ")}" fill="none" stroke="#1b2a49" ` +
      `stroke-width="${round(0.046 * this.pitch * this.penWidth)}" stroke-linecap="round" stroke-linejoin="round">\n` +
      `<title>${escaped}</title>\n${paths}\n</svg>\n`
    );
  }
}
