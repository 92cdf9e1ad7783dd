// Lines of the run that write themselves, and the slider of Figure 16.

import { PenStage, thumbnail } from "../../../rnngen/web/page/pen_stage.js";
import { embeddedLine } from "../../../rnngen/web/page/lines.js";

const describe = (line) =>
  [
    line.kind === "real" ? line.real : "sample",
    line.text ? `“${line.text}”` : "no text given",
    line.bias ? `bias ${line.bias}` : null,
    line.primeText ? `primed with “${line.primeText}”` : null,
  ]
    .filter(Boolean)
    .join(", ");

/**
 * `groups`: [{title, units, lines, readable, real}], the lines as embedded, `real` what those of the corpus are called;
 * those of a readable group can be asked about, through the network in the page if their own network's outputs did not come with them.
 */
export function startGallery(root, groups, writer) {
  const stage = new PenStage(root.querySelector(".gallery-stage"), null, {
    label: "A line of this run, written in pen order",
  });
  const list = root.querySelector(".lines"), caption = root.querySelector(".caption");
  const choose = (button, line, play = true) => {
    list.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", other === button));
    const asked = writer && line.readable && line.text && !writer.unknown(line.text).length;
    line.next ??= asked ? writer.read(line) : null;
    stage.show([line], { play });
    caption.textContent = describe(line) + (line.next ? "" : "; the network of this page did not write it, so no densities");
  };
  let chosen = false;
  for (const group of groups) {
    const heading = Object.assign(document.createElement("h3"), { textContent: group.title });
    list.append(heading);
    for (const embedded of group.lines) {
      const line = { ...embeddedLine(embedded), readable: group.readable, real: group.real, units: group.units };
      const button = Object.assign(document.createElement("button"), { type: "button", className: "line" });
      button.setAttribute("aria-pressed", "false");
      button.append(thumbnail(line, describe(line)));
      button.addEventListener("click", () => choose(button, line));
      list.append(button);
      if (!chosen) choose(button, line, false);
      chosen = true;
    }
  }
  return stage;
}

/** A slider over lines that differ in bias: position n shows those of the n-th bias. */
export function startBiasSlider(root, embedded) {
  const lines = embedded.map(embeddedLine);
  const biases = [...new Set(lines.map((line) => line.bias))].sort((a, b) => a - b);
  const stage = new PenStage(root.querySelector(".bias-stage"), null, { label: "Lines at the chosen bias", attention: false });
  const slider = root.querySelector(".field input"), output = root.querySelector(".field output");
  slider.max = biases.length - 1;
  const show = (play) => {
    const bias = biases[Number(slider.value)];
    output.value = bias;
    slider.setAttribute("aria-valuetext", `bias ${bias}`);
    stage.show(lines.filter((line) => line.bias === bias), { play });
  };
  slider.addEventListener("input", () => show(true));
  show(false);
  return stage;
}
