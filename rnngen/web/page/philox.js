// Philox4x32-10 (Salmon et al. 2011), as in rnngen/sampling/philox.py: four uniform numbers are a function of (seed, step).

const low32 = (a, b) => Math.imul(a, b) >>> 0;

/** The upper 32 bits of a · b, both below 2^32. */
function high32(a, b) {
  const a0 = a & 0xffff, a1 = a >>> 16, b0 = b & 0xffff, b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16); // below 2^32
  const carry = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + (middle >>> 16) + (carry >>> 16)) >>> 0;
}

/** Ten rounds over a counter of four 32-bit words under a key of two. */
export function philox4x32(counter, key) {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; ++round) {
    const next0 = (high32(0xcd9e8d57, c2) ^ c1 ^ k0) >>> 0;
    const next2 = (high32(0xd2511f53, c0) ^ c3 ^ k1) >>> 0;
    c1 = low32(0xcd9e8d57, c2);
    c3 = low32(0xd2511f53, c0);
    c0 = next0;
    c2 = next2;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Four numbers in [0, 1), multiples of 2^-24, for a step of a seed (an integer below 2^53). */
export function uniforms(seed, step) {
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  return philox4x32([step, 0, 0, 0], key).map((word) => (word >>> 8) * 2 ** -24);
}
