// Tables that sort by a click on a column's head and download as CSV.

import { download } from "./live.js";

const number = (text) => (text.trim() === "" || Number.isNaN(Number(text.replace("−", "-"))) ? null : Number(text.replace("−", "-")));

/** `csv`: the table as a file. */
export function startTable(root, csv) {
  const table = root.querySelector("table"), body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const upwards = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", upwards ? "ascending" : "descending");
      const key = (row) => row.cells[column].textContent;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [number(key(a)), number(key(b))];
        if (x === null || y === null) {
          if (x !== null || y !== null) return x === null ? 1 : -1; // words and blanks after numbers, either way
          return (upwards ? 1 : -1) * key(a).localeCompare(key(b));
        }
        return (upwards ? 1 : -1) * (x - y);
      });
      body.append(...rows);
    });
  });
  root.querySelector(".csv").addEventListener("click", () =>
    download(`${root.dataset.name}.csv`, "text/csv", csv),
  );
}
