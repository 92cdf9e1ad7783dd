// Whether a line says its whole text, as the window tells: `check_alignment` of rnngen/sampling/alignment.py.

/** As in NumPy: in proportion between the two nearest of the sorted values. */
function shareOf(values, share) {
  const sorted = [...values].sort((a, b) => a - b), place = share * (sorted.length - 1), low = Math.floor(place);
  return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

/**
 * What is wrong with a line of `text` whose window was φ (one array per step, the place past the text last), as
 * `fault`, null for a line that seems whole; and its `clarity`, the greater the better.
 */
export function checkAlignment(phis, text, stopped, { clear, missing, long }) {
  const characters = [...text], U = characters.length;
  if (!phis.length) return { clarity: -Infinity, fault: "nothing was written" };
  const greatest = new Float64Array(U), stays = new Float64Array(U);
  for (const phi of phis) {
    const total = Math.max(phi.reduce((a, b) => a + b, 0), 1e-30), first = phi.length - 1 - U;
    let most = 0;
    for (let u = 0; u < U; ++u) {
      greatest[u] = Math.max(greatest[u], phi[first + u] / total);
      if (phi[first + u] > phi[first + most]) most = u;
    }
    ++stays[most];
  }
  const places = (kind) => characters.flatMap((character, u) => (kind.test(character) ? [u] : []));
  const spoken = places(/[\p{L}\p{N}]/u), letters = spoken.length ? spoken : places(/\S/u);
  const leastOf = (values, places) => places.reduce((a, b) => (values[b] < values[a] ? b : a));
  const named = (u) => `“${characters[u]}”, character ${u + 1}`;
  const faintest = leastOf(greatest, letters);
  const [lower, upper] = [0.25, 0.75].map((share) => shareOf(letters.map((u) => greatest[u]), share));
  const clarity = lower / Math.max(upper, 1e-30);
  if (!stopped) return { clarity: clarity - 1, fault: `it did not end within ${phis.length} points` };
  if (greatest[faintest] < missing * upper) return { clarity, fault: `${named(faintest)}, seems to be missing` };
  if (letters.length > 1) {
    const longest = leastOf(stays.map((n) => -n), letters.slice(0, -1));
    if (stays[longest] > long * Math.max(shareOf(letters.map((u) => stays[u]), 0.5), 1))
      return { clarity, fault: `${named(longest)}, seems to be repeated` };
  }
  if (clarity < clear) return { clarity, fault: `some letters may be malformed, above all ${named(faintest)}` };
  return { clarity, fault: null };
}
