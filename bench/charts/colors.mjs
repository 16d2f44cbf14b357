// One colour for each peer in every chart (Okabe and Ito's palette, which colour-blind readers can tell apart).

const BY_NAME = /** @type {const} */ ([
  ["forknet warm", "#0072b2"],
  ["forknet cold", "#56b4e9"],
  ["forknet", "#0072b2"],
  ["floor, as", "#777777"],
  ["floor", "#000000"],
  ["nobody", "#000000"],
  ["no limits", "#000000"],
  ["usual way, in-line", "#d55e00"],
  ["usual way, deferred by", "#cc79a7"],
  ["usual way", "#e69f00"],
  ["filter list", "#d55e00"],
  ["ip and tc", "#009e73"],
]);

/** @param {string} peer */
export function colorOf(peer) {
  return BY_NAME.find(([start]) => peer.startsWith(start))?.[1] ?? "#999999";
}
