// The network in a worker: it writes beside the page, which stays responsive.

import { Writer } from "./lines.js";

let writer = null;
addEventListener("message", ({ data }) => {
  if (data.network) {
    writer = new Writer(data.network);
    return;
  }
  const started = performance.now();
  const lines = data.lines.map(({ text, ...options }) => writer.line(text, options));
  postMessage({ number: data.number, lines, seconds: (performance.now() - started) / 1000 });
});
