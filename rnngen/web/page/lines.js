// From embedded data to what the sheets and the network read.

import { floatsFromHalves, SynthesisNetwork } from "./synthesis_network.js";
import { FastNetwork } from "./fast_network.js";
import { write } from "./handwriting_sampling.js";
import { checkAlignment } from "./alignment.js";

export function bytesFromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** The network of the page, with its alphabet and the units of its offsets. */
export class Writer {
  constructor(data, Network = FastNetwork.supported ? FastNetwork : SynthesisNetwork) {
    const halves = new Uint16Array(bytesFromBase64(data.weights).buffer);
    const tensors = {};
    let at = 0;
    for (const [name, size] of data.tensors) tensors[name] = floatsFromHalves(halves.subarray(at, (at += size)));
    this.network = new Network(data.sizes, tensors);
    this.units = { mean: data.mean, deviation: data.deviation };
    this.alphabet = data.alphabet;
    this.index = new Map(data.alphabet.symbols.map((symbol, n) => [symbol, n]));
    this.other = data.alphabet.other === null ? undefined : this.index.get(data.alphabet.other);
    this.plain = new Map(Object.entries(data.plain)); // typographic signs and letters that are not a base with a mark
    this.cleaning = data.cleaning;
    this.pointsPerCharacter = data.pointsPerCharacter;
    this.finishStroke = data.finishStroke;
    this.nextWord = data.nextWord; // null: an alphabet without a blank
    this.tries = data.tries;
    this.retry = data.retry;
    this.alignment = data.alignment;
  }

  /** Characters of a text that the alphabet lacks, each once; an accent and its letter are one. */
  unknown(text) {
    const isStrange = (c) => !this.index.has(c);
    return [...text].some(isStrange) ? [...new Set(text.normalize("NFC"))].filter(isStrange) : [];
  }

  /**
   * The text without what the network cannot read: signs and letters become plain ones, accents and invisible signs
   * go, a letter may take its other case, other strangers become the class for them, or a space.
   */
  readable(text) {
    if ([...text].every((c) => this.index.has(c))) return text;
    return [...text.normalize("NFC")]
      .map((c) => {
        if (this.index.has(c)) return c;
        const base = c.normalize("NFKD").replace(/[\p{Mn}\p{Me}\p{Cf}]/gu, "");
        const plain = [...base].map((p) => this.plain.get(p) ?? p).join("");
        const otherCase = [...plain].map((p) => (p === p.toUpperCase() ? p.toLowerCase() : p.toUpperCase())).join("");
        for (const candidate of [base, plain, otherCase]) if ([...candidate].every((p) => this.index.has(p))) return candidate;
        return this.other === undefined ? " " : c;
      })
      .join("");
  }

  encode(text) {
    return [...text].map((c) => this.index.get(c) ?? this.other);
  }

  /**
   * A line written by the network; `prime` is {text, offsets} or null. Without the prime's points. One that seems not to
   * say its text is drawn again, at most `tries` times in all, with the seeds of `rnngen write --tries`; the first without
   * a fault is kept, or else the clearest.
   */
  line(text, { bias, seed, prime = null, tries = this.tries }) {
    let kept = null, allSteps = 0;
    for (let number = 0; number < tries && (!kept || kept.fault); ++number) {
      const line = this.drawn(text, bias, seed + number * this.retry, prime);
      allSteps += line.steps + (prime?.offsets.length ?? 0);
      kept = { ...(!kept || !line.fault || line.clarity > kept.clarity ? line : kept), tries: number + 1, allSteps };
    }
    return kept;
  }

  drawn(text, bias, seed, prime) {
    const windowText = prime ? `${prime.text} ${text}` : text;
    const { steps, stopped } = write(this.network, {
      text: this.encode(this.nextWord ? `${windowText} ${[...text][0]}` : windowText),
      bias,
      seed,
      prime: prime?.offsets,
      maximumSteps: Math.round(4 * this.pointsPerCharacter * [...text].length) + 50,
      finishStroke: this.finishStroke,
      nextWord: this.nextWord,
    });
    const own = steps.filter((step) => !step.prime);
    return {
      ...this.placed(own, !prime),
      ...checkAlignment(own.map((step) => step.phi), text, stopped, this.alignment),
      text: windowText,
      bias,
      seed,
      steps: own.length,
    };
  }

  /**
   * Points in the units of the corpus, ends of strokes, and `next`: for every point the step that followed it, with the
   * window and the outputs that placed the next point. A line begins one point before its first step, at `origin`;
   * where it goes on from a prime that point is the prime's, and the line's own first point is where the step led.
   */
  placed(steps, origin) {
    const { mean, deviation } = this.units;
    const points = [[0, 0]], ends = [0];
    for (const { x } of steps) {
      const [left, top] = points.at(-1);
      points.push([left + mean[0] + deviation[0] * x[0], top + mean[1] + deviation[1] * x[1]]);
      ends.push(x[2]);
    }
    return origin
      ? { points, ends, next: steps }
      : { points: points.slice(1), ends: ends.slice(1), next: steps.slice(1) };
  }

  /** The steps of points [x, y] with ends of strokes, in the network's units; one fewer than points. */
  offsets(points, ends) {
    const { mean, deviation } = this.units;
    return points.slice(1).map(([x, y], t) => {
      const [bx, by] = points[t];
      return [(x - bx - mean[0]) / deviation[0], (y - by - mean[1]) / deviation[1], ends[t + 1]];
    });
  }

  /** What the network makes of a line that already exists: the `next` of its points. */
  read({ points, ends, text }) {
    const prime = this.offsets(points, ends);
    return write(this.network, { text: this.encode(text), prime, maximumSteps: 0 }).steps;
  }
}

function rows({ columns, data }) {
  const all = floatsFromHalves(new Uint16Array(bytesFromBase64(data).buffer));
  return Array.from({ length: all.length / columns }, (_, t) => all.subarray(t * columns, (t + 1) * columns));
}

/** From a line as embedded to points, ends of strokes and, where the outputs of its network came with it, `next`. */
export function embeddedLine(line) {
  const points = line.x.map((x, t) => [x / 10, line.y[t] / 10]);
  const ends = new Array(points.length).fill(0);
  let at = -1;
  for (const length of line.lengths) ends[(at += length)] = 1;
  const phi = line.phi && rows(line.phi);
  const next = line.outputs ? rows(line.outputs).map((y, t) => ({ y, phi: phi?.[t] ?? null })) : null;
  return { ...line, points, ends, next };
}
