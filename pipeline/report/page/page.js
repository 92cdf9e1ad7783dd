// Brings the page to life.

import { startCopyButtons, startTheme } from "../../../rnngen/web/page/chrome.js";
import { Writer } from "../../../rnngen/web/page/lines.js";
import { startLiveWriting } from "../../../rnngen/web/page/live.js";
import { startBiasSlider, startGallery } from "./gallery.js";
import { startCurves } from "./curves.js";
import { startTable } from "./tables.js";

const data = JSON.parse(document.getElementById("data").textContent);

startTheme();
const writer = data.network && new Writer(data.network);
const live = document.getElementById("live");
const lively = data.writer ?? data.network; // the network of the package, or the run's own
if (lively && live) startLiveWriting(live, data.writer ? new Writer(lively) : writer, data.primes, { ...data, network: lively });
const gallery = document.getElementById("gallery");
if (gallery) startGallery(gallery, data.groups, writer);
const bias = document.getElementById("bias");
if (bias) startBiasSlider(bias, data.biased);
for (const [experiment, curves] of Object.entries(data.curves)) {
  const root = document.getElementById(`curves-${experiment}`);
  if (root) startCurves(root, curves);
}
document.querySelectorAll(".table").forEach((root) => startTable(root, data.tables[root.dataset.name]));
startCopyButtons();
const scrolling = new ResizeObserver((entries) => {
  for (const { target } of entries) target.classList.toggle("wide", target.scrollWidth > target.clientWidth + 1);
});
document.querySelectorAll(".scroll").forEach((region) => scrolling.observe(region));
const surprisal = document.getElementById("surprisal");
document.querySelectorAll(".scored").forEach((text) =>
  text.addEventListener("pointerover", (event) => {
    const bits = event.target.style?.getPropertyValue("--b");
    surprisal.hidden = !bits;
    if (bits) {
      const box = event.target.getBoundingClientRect();
      surprisal.textContent = `${Number(bits).toFixed(2)} bits`;
      surprisal.style.left = `${Math.min(box.left, innerWidth - 90) + scrollX}px`;
      surprisal.style.top = `${box.bottom + scrollY + 4}px`;
    }
  }),
);
document.documentElement.dataset.ready = "yes";
