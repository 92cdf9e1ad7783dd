// "Write something": the network of the page.

import { PenStage, thumbnail } from "./pen_stage.js";

/** Words of a text on lines of at most `width` characters; a longer word stays whole. */
export function wrapped(text, width) {
  const lines = [], length = (words) => [...words].length;
  for (const word of text.split(/[\s\p{Cc}]+/u).filter(Boolean)) {
    const last = lines.length - 1;
    if (last >= 0 && length(lines[last]) + 1 + length(word) <= width) lines[last] += ` ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Characters per line on a sheet of `pixels`: as many as stay legible, 20 to `most`. */
export const lineWidthOf = (pixels, most) => Math.max(20, Math.min(most, Math.floor(pixels / 24)));

/** `text` quoted as one word for a POSIX shell. */
export const quoted = (text) => (/^[\w@%+=:,.\/-]+$/.test(text) ? text : `'${String(text).replaceAll("'", `'\\''`)}'`);

/**
 * The command that writes the same `lines`. They are in the network's alphabet already, except for what its class of
 * other characters stands for (`strangers`); wrapped again at `width` they break where they break here. `style` is
 * the prime: a hand by its number, a line of the corpus by its name, or the reader's own writing by its text.
 */
export function writeCommand({ lines, strangers, bias, seed, width, pen, style, own, model, corpus }) {
  const text = lines.join(" ");
  const parts = ["rnngen", "write", quoted(text.startsWith("-") ? ` ${text}` : text)]; // a leading blank is not written
  if (model) parts.push("--model", quoted(model)); // without, the network that comes with rnngen
  parts.push("--bias", bias, "--seed", seed, "--width", width);
  if (strangers) parts.push("--replace-unknown");
  if (pen !== 1) parts.push("--pen-width", Number((0.45 * pen).toFixed(3))); // 0.45 mm is the command's default
  if (own) parts.push("--style-strokes", "strokes.json", "--style-text", quoted(own.text));
  else if (style?.hand !== undefined) parts.push("--hand", style.hand);
  else if (style) parts.push("--style", quoted(style.name), "--corpus", quoted(corpus));
  return [...parts, "-o", "line.svg"].join(" ");
}

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Has lines written by a worker of the text `source`; only the latest are of interest. */
class Studio {
  constructor(source, network) {
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(address);
    this.worker.postMessage({ network });
    this.latest = 0;
  }

  /** `lines` are the arguments of `Writer.line`; `show` is given the result, unless others were asked for since. */
  write(lines, show) {
    const number = ++this.latest;
    this.worker.onmessage = ({ data }) => data.number === this.latest && show(data.lines, data.seconds);
    this.worker.postMessage({ number, lines });
  }
}

const LARGEST_SEED = 9e15; // with room for those of further tries below 2^53

export function startLiveWriting(root, writer, primes, { lineWidth, model, corpus, network, worker }) {
  const studio = new Studio(worker, network);
  const find = (selector) => root.querySelector(selector);
  const stage = new PenStage(find(".live-stage"), writer.units, { label: "Handwriting written by the network" });
  const form = find("form"), note = find(".note"), command = find(".command code");
  let own = null; // a prime drawn by the reader
  const styles = find(".styles");
  primes.forEach((prime, n) => {
    const option = document.createElement("label");
    option.className = "style";
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: n });
    const about = document.createElement("span");
    about.append(
      thumbnail(writer.placed(prime.offsets.map((x) => ({ x })), true), `“${prime.text}”`),
      Object.assign(document.createElement("small"), { textContent: prime.name }),
    );
    option.append(radio, about);
    styles.append(option);
  });

  const value = (name) => form.elements[name].value;
  const prime = () => (value("style") === "own" ? own : value("style") === "none" ? null : primes[Number(value("style"))]);

  function writeNow(event) {
    event?.preventDefault();
    const text = value("text").trim();
    if (!text) return;
    const strangers = writer.unknown(text);
    const seed = Math.min(Math.max(Math.trunc(Number(value("seed"))) || 0, 0), LARGEST_SEED), bias = Number(value("bias"));
    const width = lineWidthOf(find(".live-stage").clientWidth, lineWidth);
    const words = wrapped(writer.readable(text), width);
    if (!words.length) {
      note.textContent = "Nothing of this text is in the network's alphabet.";
      return;
    }
    const style = prime();
    const wanted = { lines: words, width, strangers: writer.unknown(words.join(" ")).length > 0, bias, seed, style, own: value("style") === "own" ? own : null };
    root.setAttribute("aria-busy", "true");
    const lines = words.map((line, n) => ({ text: line, bias, seed: seed + n, prime: style }));
    studio.write(lines, (written, seconds) => {
      root.setAttribute("aria-busy", "false");
      show(written, seconds, strangers, wanted);
    });
  }

  function show(lines, seconds, strangers, wanted) {
    if (lines.some((line) => line.points.length < 2)) {
      note.textContent = "The network ended a line before it wrote anything; try another seed.";
      return;
    }
    const steps = lines.reduce((sum, line) => sum + line.allSteps, 0);
    const again = lines.reduce((sum, line) => sum + line.tries - 1, 0);
    stage.show(lines);
    note.textContent =
      `${steps.toLocaleString("en")} steps of the network in ${seconds.toFixed(2)} s (${Math.round(steps / seconds).toLocaleString("en")} a second).` +
      (again ? ` Lines drawn again, ${again} times in all: letters seemed to be malformed, missing or repeated.` : "") +
      (strangers.length ? ` Not in its alphabet: ${strangers.join(" ")}` : "");
    shown = wanted;
    showCommand();
  }

  let shown = null; // what the command says, except for the pen, which draws the same points
  const showCommand = () =>
    shown && (command.textContent = writeCommand({ ...shown, pen: Number(value("pen")), model, corpus }));

  form.addEventListener("submit", writeNow);
  form.elements.bias.addEventListener("input", () => (find(".bias-value").value = Number(value("bias")).toFixed(2)));
  form.elements.bias.addEventListener("change", writeNow);
  form.elements.seed.addEventListener("change", writeNow);
  styles.addEventListener("change", writeNow);
  form.elements.pen.addEventListener("input", () => {
    stage.setPenWidth(Number(value("pen")));
    showCommand();
  });
  find(".another").addEventListener("click", () => {
    form.elements.seed.value = Number(value("seed")) + 1;
    writeNow();
  });
  find(".svg").addEventListener("click", () => download("handwriting.svg", "image/svg+xml", stage.svgText(value("text"))));
  startOwnHand(find(".own"), writer, (drawn) => {
    own = drawn;
    form.elements.style.value = "own";
    writeNow();
  });
  writeNow();
  return stage;
}

/** A sheet to write on: the reader's own line becomes a prime. */
function startOwnHand(root, writer, use) {
  const svg = root.querySelector("svg"), text = root.querySelector("input[type=text]");
  const note = root.querySelector(".note");
  const radio = document.querySelector("input[name=style][value=own]");
  let strokes = [], path = null;
  const at = (event) => {
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [Math.round(p.x * 10) / 10, Math.round(p.y * 10) / 10, event.timeStamp / 1000]; // as they are saved
  };
  svg.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    strokes.push([at(event)]);
    path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    svg.append(path);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!path) return;
    strokes.at(-1).push(at(event));
    path.setAttribute("d", "M" + strokes.at(-1).map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L"));
  });
  const lift = () => (path = null);
  svg.addEventListener("pointerup", lift);
  svg.addEventListener("pointercancel", lift);
  root.querySelector(".clear").addEventListener("click", () => {
    strokes = [];
    svg.replaceChildren();
    note.textContent = "";
  });
  root.querySelector(".save").addEventListener("click", () => {
    download("strokes.json", "application/json", JSON.stringify({ strokes }));
  });
  root.querySelector(".use").addEventListener("click", () => {
    const words = writer.readable(text.value).trim();
    const [x, y] = strokes.flat()[0] ?? [];
    if (!words || strokes.flat().length < 5 || strokes.flat().every((p) => p[0] === x && p[1] === y)) {
      note.textContent = "Type what you are going to write, then write it on the sheet.";
      return;
    }
    radio.disabled = false;
    use(primeFromInk(writer, strokes, words));
    note.textContent = "The lines above now go on from your writing.";
  });
}

/** Rounded as Python and NumPy round: halves to the even neighbour. */
function roundedEvenly(x) {
  const low = Math.floor(x), rest = x - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

/** `resample` of rnngen/ink/strokes.py: about `points` points [x, y], evenly in time; the times given never fall. */
export function resampled(strokes, points) {
  const along = strokes.map((stroke) => {
    let length = 0;
    return stroke.map(([x, y], n) => (length += n ? Math.hypot(x - stroke[n - 1][0], y - stroke[n - 1][1]) : 0));
  });
  let clocks = strokes.map((stroke) => stroke.map((point) => point[2] - stroke[0][2]));
  const steps = clocks.flatMap((clock) => clock.slice(1).map((t, n) => t - clock[n])).filter((step) => step > 0);
  if (steps.length) {
    steps.sort((a, b) => a - b);
    const half = steps.length >> 1, median = steps.length % 2 ? steps[half] : (steps[half - 1] + steps[half]) / 2;
    clocks = clocks.map((clock) => (clock.at(-1) > 0 ? clock : clock.map((_, n) => median * n)));
  } else clocks = along;
  const total = clocks.reduce((sum, clock, k) => sum + (along[k].at(-1) > 0 ? clock.at(-1) : 0), 0);
  return strokes.map((stroke, k) => {
    if (along[k].at(-1) <= 0) return [stroke[0].slice(0, 2)];
    const clock = clocks[k], last = clock.at(-1), n = Math.max(2, roundedEvenly((points * last) / total));
    let j = 0;
    return Array.from({ length: n }, (_, i) => {
      if (i === 0 || i === n - 1) return stroke.at(i && -1).slice(0, 2);
      const when = i * (last / (n - 1));
      while (j + 1 < clock.length - 1 && clock[j + 1] <= when) ++j;
      const share = (when - clock[j]) / (clock[j + 1] - clock[j]);
      return [0, 1].map((c) => stroke[j][c] + share * (stroke[j + 1][c] - stroke[j][c]));
    });
  });
}

/** `Cleaning.steps` of rnngen/corpora/handwriting/lines.py: points left out, offsets [Δx, Δy, end], long ones removed. */
function stepsOf(strokes, { every, stepThreshold }) {
  const points = strokes.flatMap((stroke) =>
    stroke
      .map(([x, y], n) => [x, y, n === stroke.length - 1 ? 1 : 0, n])
      .filter(([, , end, n]) => end || n % every === 0),
  );
  const steps = [];
  points.slice(1).forEach(([x, y, end], t) => {
    const step = [x - points[t][0], y - points[t][1], end];
    if (stepThreshold === null || (Math.abs(step[0]) <= stepThreshold && Math.abs(step[1]) <= stepThreshold)) steps.push(step);
    else if (steps.length) steps.at(-1)[2] ||= end; // the end of a stroke survives the removal of its last step
  });
  return steps;
}

/**
 * A prime from anybody's strokes [x, y, seconds]: as many points as its text should have, evenly in time, scaled so that
 * the normalised offsets spread as the training data's do. It is that of `rnngen write --style-strokes`
 * (`prime_from_any` of rnngen/models/handwriting_model.py).
 */
export function primeFromInk(writer, strokes, text) {
  const { mean, deviation } = writer.units;
  const wanted = roundedEvenly([...text].length * writer.pointsPerCharacter * writer.cleaning.every);
  const even = resampled(strokes, Math.max(2, wanted));
  const steps = stepsOf(even, writer.cleaning), count = 2 * steps.length;
  let a = 0, b = 0, c = 0;
  for (const step of steps)
    for (const k of [0, 1]) {
      a += (step[k] / deviation[k]) ** 2 / count;
      b += (step[k] * mean[k]) / deviation[k] ** 2 / count;
    }
  for (const k of [0, 1]) c += (mean[k] / deviation[k]) ** 2 / 2;
  const scale = (b + Math.sqrt(b * b + a * Math.max(1 - c, 0))) / a;
  const scaled = even.map((stroke) => stroke.map(([x, y]) => [x * scale, y * scale]));
  const offsets = stepsOf(scaled, writer.cleaning).map(([dx, dy, end]) => [
    Math.fround((dx - mean[0]) / deviation[0]),
    Math.fround((dy - mean[1]) / deviation[1]),
    end,
  ]);
  return { text, offsets };
}
