// The synthesis network in single precision with WebAssembly's SIMD: the same steps as SynthesisNetwork of
// synthesis_network.js, which it is tested against. Its loops are kernels.wat. One text is written at a time.

import { KERNELS } from "./kernels.js";

const kernelBytes = Uint8Array.from(atob(KERNELS), (c) => c.charCodeAt(0));
const up = (n, multiple) => Math.ceil(n / multiple) * multiple;
const BLOCK = 32; // rows of a matrix that are multiplied side by side

export class FastNetwork {
  /** Whether this browser can run it. */
  static get supported() {
    return typeof WebAssembly === "object" && WebAssembly.validate(kernelBytes);
  }

  /** `sizes`: the constructor arguments of the Python class; `tensors`: name → Float32Array. */
  constructor(sizes, tensors) {
    this.cells = sizes.cells;
    this.alphabetSize = sizes.alphabet_size;
    this.components = sizes.window_components;
    this.outputs = 6 * sizes.mixtures + 1;
    this.stride = up(this.cells, 4); // from gate to gate; the cells past the last stay at 0
    const H = this.cells, rows = up(4 * this.stride, BLOCK), outputRows = up(this.outputs, BLOCK);
    const windowRows = up(3 * this.components, BLOCK), V = this.alphabetSize;
    const perLayer = (n) => rows * (3 + V + (n ? H : 0) + H + 1) + 3 * this.stride + 2 * this.stride + outputRows * H;
    let floats = 64 + rows + windowRows * (H + 2) + 2 * outputRows;
    for (let n = 0; n < sizes.layers; ++n) floats += perLayer(n);
    const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * floats) / 65536) });
    this.kernels = new WebAssembly.Instance(new WebAssembly.Module(kernelBytes), { page: { memory } }).exports;
    let next = 0;
    const reserve = (length) => {
      const view = new Float32Array(memory.buffer, next, length);
      next += 4 * up(length, 4);
      return view;
    };
    const gateRow = (r) => Math.floor(r / H) * this.stride + (r % H);
    /** A matrix (height, columns) in blocks of rows, column by column; row r of it is row `place(r)` of the blocks. */
    const pack = (matrix, columns, packedRows, place) => {
      const view = reserve(packedRows * columns);
      for (let r = 0; r < matrix.length / columns; ++r) {
        const row = place(r), block = (row - (row % BLOCK)) * columns + (row % BLOCK);
        for (let c = 0; c < columns; ++c) view[block + c * BLOCK] = matrix[r * columns + c];
      }
      return view.byteOffset;
    };
    const spread = (vector, length, place) => {
      const view = reserve(length);
      vector.forEach((value, r) => (view[place(r)] = value));
      return view;
    };
    const same = (r) => r;
    this.x = reserve(4);
    this.gates = reserve(rows);
    this.layers = [];
    for (let n = 0; n < sizes.layers; ++n) {
      const tensor = (name) => tensors[`layers.${n}.${name}`];
      const window = reserve(rows * V); // one row per symbol
      tensor("weight_dense.1").forEach((value, k) => (window[(k % V) * rows + gateRow(Math.floor(k / V))] = value));
      this.layers.push({
        offsets: pack(tensor("weight_dense.0"), 3, rows, gateRow),
        window: window.byteOffset,
        below: n ? pack(tensor("weight_dense.2"), H, rows, gateRow) : 0,
        recurrent: pack(tensor("weight_recurrent"), H, rows, gateRow),
        peepholes: spread(tensor("peepholes"), 3 * this.stride, gateRow).byteOffset,
        bias: spread(tensor("bias"), rows, gateRow),
        output: pack(tensors[`weight_output.${n}`], H, outputRows, same),
        h: reserve(this.stride),
        c: reserve(this.stride),
      });
    }
    this.windowWeights = pack(tensors["weight_window"], H, windowRows, same); // α̂, β̂, κ̂
    this.windowBias = spread(tensors["bias_window"], windowRows, same);
    this.parameters = reserve(windowRows);
    this.outputBias = spread(tensors["bias_output"], outputRows, same);
    this.sums = reserve(outputRows);
  }

  /** The state before the first step of a text, given as the integers of its symbols; it ends that of the last text. */
  start(text) {
    for (const { h, c } of this.layers) h.fill(0), c.fill(0);
    return {
      text,
      symbols: [...new Set(text)],
      window: new Float64Array(this.alphabetSize),
      kappa: new Float64Array(this.components),
      phi: new Float64Array(text.length + 1), // of u = 1 … U + 1; the last one only serves the stop rule
      y: new Float64Array(this.outputs),
    };
  }

  /** One step: reads the offset `x` and changes `state`, whose `y` is then the prediction of the next offset. */
  step(state, x) {
    const { addProduct, addScaled, cell } = this.kernels, { gates, cells, layers, stride } = this;
    const into = gates.byteOffset, blocks = gates.length / BLOCK;
    this.x.set(x);
    this.sums.set(this.outputBias);
    for (let n = 0; n < layers.length; ++n) {
      const layer = layers[n], h = layer.h.byteOffset;
      gates.set(layer.bias);
      addProduct(into, layer.offsets, this.x.byteOffset, blocks, 3);
      for (const symbol of state.symbols) {
        const weight = state.window[symbol];
        if (weight > 1e-12) addScaled(into, layer.window + 4 * symbol * gates.length, weight, gates.length);
      }
      if (n) addProduct(into, layer.below, layers[n - 1].h.byteOffset, blocks, cells);
      addProduct(into, layer.recurrent, h, blocks, cells);
      cell(into, layer.peepholes, layer.c.byteOffset, h, 4 * stride);
      addProduct(this.sums.byteOffset, layer.output, h, this.sums.length / BLOCK, cells);
      if (n === 0) this.placeWindow(state);
    }
    for (let k = 0; k < this.outputs; ++k) state.y[k] = this.sums[k];
  }

  /** Eq 46–51. */
  placeWindow({ phi, kappa, window, text }) {
    const K = this.components, { parameters } = this;
    parameters.set(this.windowBias);
    const blocks = parameters.length / BLOCK;
    this.kernels.addProduct(parameters.byteOffset, this.windowWeights, this.layers[0].h.byteOffset, blocks, this.cells);
    phi.fill(0);
    for (let k = 0; k < K; ++k) {
      const alpha = Math.exp(parameters[k]), beta = Math.exp(parameters[K + k]);
      kappa[k] += Math.exp(parameters[2 * K + k]);
      for (let u = 0; u < phi.length; ++u) {
        const exponent = beta * (kappa[k] - u - 1) ** 2;
        if (exponent < 100) phi[u] += alpha * Math.exp(-exponent);
      }
    }
    window.fill(0);
    for (let u = 0; u < text.length; ++u) window[text[u]] += phi[u];
  }
}
