// The handwriting synthesis network (section 5 of the paper, eq 7–11 and 46–53), one step at a time.
// All arithmetic is in double precision; the weights come as they were embedded, rounded to half. fast_network.js is the
// same in single precision, for browsers that have WebAssembly's SIMD.
// Names and the order of gates (i, f, g, o) are those of rnngen/networks/synthesis_network.py.

/** Half-precision numbers (their bits) as single-precision ones. */
export function floatsFromHalves(halves) {
  const floats = new Float32Array(halves.length);
  for (let n = 0; n < halves.length; ++n) {
    const bits = halves[n], exponent = (bits >>> 10) & 31, fraction = bits & 1023;
    const size =
      exponent === 0 ? fraction * 2 ** -24
      : exponent === 31 ? (fraction ? NaN : Infinity)
      : (1 + fraction / 1024) * 2 ** (exponent - 15);
    floats[n] = bits & 0x8000 ? -size : size;
  }
  return floats;
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

const ROWS = 8; // rows of a matrix that are multiplied side by side: as many sums as fit the registers
const padded = (n) => Math.ceil(n / ROWS) * ROWS;

/** A matrix (rows, columns) as `addProduct` reads it: blocks of eight rows, column by column, the last one padded. */
function packed(matrix, rows, columns) {
  const result = new Float64Array(padded(rows) * columns);
  for (let r = 0; r < rows; ++r) {
    const block = (r - (r % ROWS)) * columns;
    for (let c = 0; c < columns; ++c) result[block + c * ROWS + (r % ROWS)] = matrix[r * columns + c];
  }
  return result;
}

/** out += matrix · input; `out` has the padded number of rows. */
function addProduct(out, matrix, input) {
  const columns = input.length;
  for (let row = 0, at = 0; row < out.length; row += ROWS) {
    let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    for (let k = 0; k < columns; ++k, at += ROWS) {
      const x = input[k];
      a += matrix[at] * x;
      b += matrix[at + 1] * x;
      c += matrix[at + 2] * x;
      d += matrix[at + 3] * x;
      e += matrix[at + 4] * x;
      f += matrix[at + 5] * x;
      g += matrix[at + 6] * x;
      h += matrix[at + 7] * x;
    }
    out[row] += a;
    out[row + 1] += b;
    out[row + 2] += c;
    out[row + 3] += d;
    out[row + 4] += e;
    out[row + 5] += f;
    out[row + 6] += g;
    out[row + 7] += h;
  }
}

function transposed(matrix, rows, columns) {
  const result = new Float32Array(matrix.length);
  for (let r = 0; r < rows; ++r) for (let c = 0; c < columns; ++c) result[c * rows + r] = matrix[r * columns + c];
  return result;
}

export class SynthesisNetwork {
  /** `sizes`: the constructor arguments of the Python class; `tensors`: name → Float32Array. */
  constructor(sizes, tensors) {
    this.cells = sizes.cells;
    this.alphabetSize = sizes.alphabet_size;
    this.components = sizes.window_components;
    this.mixtures = sizes.mixtures;
    this.outputs = 6 * sizes.mixtures + 1;
    this.layers = [];
    for (let n = 0; n < sizes.layers; ++n) {
      const tensor = (name) => tensors[`layers.${n}.${name}`];
      const gates = 4 * this.cells;
      this.layers.push({
        offsets: packed(tensor("weight_dense.0"), gates, 3),
        window: transposed(tensor("weight_dense.1"), gates, this.alphabetSize), // one row per symbol
        below: n ? packed(tensor("weight_dense.2"), gates, this.cells) : null,
        recurrent: packed(tensor("weight_recurrent"), gates, this.cells),
        peepholes: tensor("peepholes"), // (3, H): i, f, o
        bias: tensor("bias"),
        output: packed(tensors[`weight_output.${n}`], this.outputs, this.cells),
      });
    }
    this.windowWeights = packed(tensors["weight_window"], 3 * this.components, this.cells); // α̂, β̂, κ̂
    this.windowBias = tensors["bias_window"];
    this.outputBias = tensors["bias_output"];
  }

  /** The state before the first step of a text, given as the integers of its symbols. */
  start(text) {
    const zeros = (n) => new Float64Array(n);
    return {
      text,
      symbols: [...new Set(text)],
      h: this.layers.map(() => zeros(this.cells)),
      c: this.layers.map(() => zeros(this.cells)),
      window: zeros(this.alphabetSize),
      kappa: zeros(this.components),
      phi: zeros(text.length + 1), // of u = 1 … U + 1; the last one only serves the stop rule
      y: zeros(this.outputs),
      sums: zeros(padded(this.outputs)),
      gates: zeros(padded(4 * this.cells)),
      parameters: zeros(padded(3 * this.components)),
    };
  }

  /** One step: reads the offset `x` and changes `state`, whose `y` is then the prediction of the next offset. */
  step(state, x) {
    this.layers.forEach((layer, n) => {
      this.lstm(layer, state, x, n);
      if (n === 0) this.placeWindow(state);
    });
    state.sums.set(this.outputBias);
    this.layers.forEach((layer, n) => addProduct(state.sums, layer.output, state.h[n]));
    state.y.set(state.sums.subarray(0, this.outputs));
  }

  /** Eq 7–11, 52, 53. */
  lstm(layer, state, x, n) {
    const H = this.cells, gates = state.gates, h = state.h[n], c = state.c[n], peepholes = layer.peepholes;
    gates.set(layer.bias); // what is past 4H, if anything, stays unused
    addProduct(gates, layer.offsets, x);
    for (const symbol of state.symbols) {
      const weight = state.window[symbol], row = symbol * 4 * H;
      if (weight > 1e-30) for (let g = 0; g < 4 * H; ++g) gates[g] += weight * layer.window[row + g];
    }
    if (layer.below) addProduct(gates, layer.below, state.h[n - 1]);
    addProduct(gates, layer.recurrent, h);
    for (let j = 0; j < H; ++j) {
      const i = sigmoid(gates[j] + peepholes[j] * c[j]);
      const f = sigmoid(gates[H + j] + peepholes[H + j] * c[j]);
      c[j] = f * c[j] + i * Math.tanh(gates[2 * H + j]);
      h[j] = sigmoid(gates[3 * H + j] + peepholes[2 * H + j] * c[j]) * Math.tanh(c[j]);
    }
  }

  /** Eq 46–51. */
  placeWindow(state) {
    const K = this.components, { parameters, phi, kappa, window, text } = state;
    parameters.set(this.windowBias);
    addProduct(parameters, this.windowWeights, state.h[0]);
    phi.fill(0);
    for (let k = 0; k < K; ++k) {
      const alpha = Math.exp(parameters[k]), beta = Math.exp(parameters[K + k]);
      kappa[k] += Math.exp(parameters[2 * K + k]);
      for (let u = 0; u < phi.length; ++u) phi[u] += alpha * Math.exp(-beta * (kappa[k] - u - 1) ** 2);
    }
    window.fill(0);
    text.forEach((symbol, u) => (window[symbol] += phi[u]));
  }
}
