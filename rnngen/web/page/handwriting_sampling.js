// Lines of handwriting from the network: mixture density, bias, priming, stop rule (eq 17–25, 61–62, sections 5.3–5.5).
// With the seed of `rnngen write` it draws the same random numbers, and so the same line.

import { uniforms } from "./philox.js";

/** The mixture that outputs ŷ stand for, biased: weights π, means μ, deviations σ, correlations ρ, end of stroke e. */
export function mixture(y, bias = 0) {
  const M = (y.length - 1) / 6, part = (n) => y.subarray(1 + n * M, 1 + (n + 1) * M);
  const top = part(0).reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = part(0).map((hat) => Math.exp((hat - top) * (1 + bias)));
  const total = weights.reduce((a, b) => a + b, 0);
  return {
    weights: weights.map((weight) => weight / total),
    mean1: part(1),
    mean2: part(2),
    deviation1: part(3).map((hat) => Math.exp(hat - bias)),
    deviation2: part(4).map((hat) => Math.exp(hat - bias)),
    correlation: part(5).map(Math.tanh),
    endOfStroke: 1 / (1 + Math.exp(y[0])), // the sign is eq 18's
  };
}

/** The offset and end of stroke that four uniform numbers stand for: `Mixture.place` of rnngen/losses/mixture_density.py. */
export function place(y, bias, [choice, radius, angle, end]) {
  const m = mixture(y, bias), last = m.weights.length - 1;
  let j = 0, cumulative = m.weights[0];
  while (j < last && cumulative <= choice) cumulative += m.weights[++j];
  const r = Math.sqrt(-2 * Math.log1p(-radius));
  const normal1 = r * Math.cos(2 * Math.PI * angle), normal2 = r * Math.sin(2 * Math.PI * angle);
  const rho = m.correlation[j];
  return [
    m.mean1[j] + m.deviation1[j] * normal1,
    m.mean2[j] + m.deviation2[j] * (rho * normal1 + Math.sqrt(1 - rho * rho) * normal2),
    end < m.endOfStroke ? 1 : 0,
  ];
}

/** Section 5.3: φ(t, U + 1) > φ(t, u) for all u ≤ U, where `following` symbols after the U are not to be written. */
export function stops(phi, following = 0) {
  const own = phi.length - 1 - following;
  let past = 0;
  for (let u = own; u < phi.length; ++u) past = Math.max(past, phi[u]);
  for (let u = 0; u < own; ++u) if (phi[u] >= past) return false;
  return past > 0;
}

/** `NextWord.end` of rnngen/sampling/lines.py: the first of the offsets that is not part of the line. */
export function endBeforeNextWord(offsets, fired, { gap, meanDx }) {
  let x = 0, most = 0, best = 0, end = fired;
  for (const [t, [dx]] of offsets.entries()) {
    x += dx + meanDx;
    if (t >= Math.max(fired, 1) && offsets[t - 1][2] > 0.5) {
      if (x - most > gap) return t;
      if (x - most > best) (best = x - most), (end = t);
    }
    most = Math.max(most, x);
  }
  return end;
}

/**
 * The steps of a line, one object each: `x` the offset [Δx, Δy, end of stroke] in the network's units, `y` and `phi` the
 * network's outputs and window at that step, `prime` whether x was given; and `stopped`, whether the line ended by itself.
 * `request`: text (integers), bias, seed, prime (offsets), maximumSteps, finishStroke (points within which the current
 * stroke may still be finished once the stop rule has fired), or instead nextWord: how many of the text's last
 * `symbols` are not to be written, and the `points` within which the pen should begin them.
 */
export function write(network, { text, bias = 0, seed = 0, prime = [], maximumSteps = 1000, finishStroke = 0, nextWord = null }) {
  const state = network.start(text);
  const steps = [], following = nextWord?.symbols ?? 0, own = text.length - following;
  let x = [0, 0, 0], fired = -1, stopped = false;
  for (let t = 0; t < prime.length + maximumSteps; ++t) {
    network.step(state, x);
    if (t >= prime.length) {
      if (fired < 0 && stops(state.phi, following)) fired = t;
      const penUp = !following && t > 0 && x[2] > 0.5;
      stopped = fired >= 0 && (penUp || t - fired >= (nextWord?.points ?? finishStroke));
      if (stopped) break;
    }
    const given = t < prime.length;
    x = given ? prime[t] : place(state.y, bias, uniforms(seed, t));
    steps.push({ x, y: state.y.slice(), phi: state.phi.slice(0, own + 1), prime: given });
  }
  if (!following || fired < 0) return { steps, stopped };
  return { steps: steps.slice(0, endBeforeNextWord(steps.map((step) => step.x), fired, nextWord)), stopped: true };
}
