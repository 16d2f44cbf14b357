// SVG as text: elements, escaping, and the frame every chart shares. Draws nothing by itself.

export const FONT = "font-family='system-ui, -apple-system, Segoe UI, sans-serif'";
export const INK = "#222222";
export const FAINT = "#dddddd";
const GREY = "#666666";

/** @typedef {{ left: number, right: number, top: number, bottom: number }} Box Edges of the plotting area. */

/** @param {string | number} text */
export function escaped(text) {
  return String(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string | number} words
 * @param {{ anchor?: "start" | "middle" | "end", size?: number, color?: string, weight?: number }} look
 */
export function text(x, y, words, { anchor = "start", size = 12, color = INK, weight = 400 } = {}) {
  const place = `x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}"`;
  return `<text ${place} font-size="${size}" fill="${color}" font-weight="${weight}">${escaped(words)}</text>`;
}

/**
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 * @param {string} color
 */
export function line(x1, y1, x2, y2, color, width = 1) {
  const ends = `x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}"`;
  return `<line ${ends} stroke="${color}" stroke-width="${width}" stroke-linecap="round"/>`;
}

/**
 * @param {readonly (readonly [number, number])[]} points
 * @param {string} color
 */
export function path(points, color, isDashed = false) {
  const d = points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${fixed(x)} ${fixed(y)}`).join("");
  const dash = isDashed ? ' stroke-dasharray="5 4"' : "";
  return `<path d="${d}" fill="none" stroke="${color}" stroke-width="2" stroke-linejoin="round"${dash}/>`;
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} color
 */
export function dot(x, y, color, radius = 4) {
  return `<circle cx="${fixed(x)}" cy="${fixed(y)}" r="${radius}" fill="${color}"/>`;
}

/**
 * The whole picture: white ground (README pages may be dark), title, a line of explanation, and the parts.
 * @param {{ width: number, height: number, title: string, note: string, parts: string[] }} picture
 */
export function svg({ width, height, title, note, parts }) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ${FONT} role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(16, 26, title, { size: 16, weight: 600 }),
    text(16, 44, note, { size: 11, color: GREY }),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

/** @param {number} value */
function fixed(value) {
  return Number(value.toFixed(1));
}
