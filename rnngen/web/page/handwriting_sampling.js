// Lines of handwriting from the network: mixture density, bias, priming, stop rule (eq 17–25, 61–62, sections 5.3–5.5).
// With the seed of `rnngen write --end stroke` it draws the same random numbers, and so the same line.

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

/** Section 5.3: φ(t, U + 1) > φ(t, u) for all u ≤ U. */
export function stops(phi) {
  const past = phi[phi.length - 1];
  for (let u = 0; u + 1 < phi.length; ++u) if (phi[u] >= past) return false;
  return past > 0;
}

/**
 * Yields one object a step: `x` the offset [Δx, Δy, end of stroke] in the network's units, `y` and `phi` the network's
 * outputs and window at that step, `prime` whether x was given. `request`: text (integers), bias, seed, prime (offsets),
 * maximumSteps, finishStroke (points within which a stroke in hand may still be finished once the stop rule has fired).
 */
export function* write(network, { text, bias = 0, seed = 0, prime = [], maximumSteps = 1000, finishStroke = 0 }) {
  const state = network.start(text);
  let x = [0, 0, 0], fired = -1;
  for (let t = 0; t < prime.length + maximumSteps; ++t) {
    network.step(state, x);
    if (t >= prime.length) {
      if (fired < 0 && stops(state.phi)) fired = t;
      const penUp = t > 0 && x[2] > 0.5;
      if (fired >= 0 && (penUp || t - fired >= finishStroke)) return;
    }
    const given = t < prime.length;
    x = given ? prime[t] : place(state.y, bias, uniforms(seed, t));
    yield { x, y: state.y.slice(), phi: state.phi.slice(), prime: given };
  }
}
