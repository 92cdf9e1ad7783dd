// Learning curves, drawn by uPlot.

const DASH = { train: [4, 4], validation: [] };
const COLOURS = ["--curve-1", "--curve-2", "--curve-3", "--curve-4", "--curve-5"];

/** From the least value to the greatest, without outliers: a training that diverged must not flatten all the others. */
function range(values) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const low = sorted[0], high = Math.min(sorted.at(-1), at(0.8) + 4 * (at(0.8) - at(0.2)));
  const edge = 0.05 * (high - low) || 0.5;
  return [low - edge, high + edge];
}

/** `curves`: {unit, rows: [{name, epochs, train, validation}]}. */
export function startCurves(root, curves) {
  const chart = root.querySelector(".chart");
  const epochs = [...new Set(curves.rows.flatMap((row) => row.epochs))].sort((a, b) => a - b);
  const onAxis = (row, values) => {
    const at = new Map(row.epochs.map((epoch, n) => [epoch, values[n]]));
    return epochs.map((epoch) => at.get(epoch) ?? null);
  };
  const data = [epochs];
  for (const row of curves.rows) data.push(onAxis(row, row.train), onAxis(row, row.validation));
  let plot = null;
  const draw = () => {
    plot?.destroy();
    const style = getComputedStyle(root), colour = (name) => style.getPropertyValue(name).trim();
    const line = (row, n, kind) => ({
      label: `${row.name}, ${kind}`,
      stroke: colour(COLOURS[n % COLOURS.length]),
      width: kind === "validation" ? 2 : 1.25,
      dash: DASH[kind],
      spanGaps: true,
      points: { size: 5 },
      value: (_, value) => (value === null ? "–" : value.toFixed(3)),
    });
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    plot = new uPlot(
      {
        width: Math.max(240, chart.clientWidth),
        height: 280,
        scales: { x: { time: false }, y: { range: range(data.slice(1).flat()) } },
        axes: [{ ...axis, label: "epoch" }, { ...axis, label: curves.unit, size: 64 }],
        series: [
          { label: "epoch", value: (_, value) => (value === null ? "–" : value.toFixed(2)) },
          ...curves.rows.flatMap((row, n) => [line(row, n, "train"), line(row, n, "validation")]),
        ],
      },
      data,
      chart,
    );
  };
  draw();
  new ResizeObserver(() => {
    if (Math.abs(plot.width - chart.clientWidth) > 2) plot.setSize({ width: Math.max(240, chart.clientWidth), height: 280 });
  }).observe(chart);
  window.addEventListener("themechange", draw);
}
