// The judgement of a campaign over limits: what is too much, and what a change of limits excuses.

import { describe, expect, it } from "vitest";
import { judge, type Sample } from "../../chaos/meter.js";
import type { Spell } from "../../chaos/model.js";

const BASE = 1_000_000;
const MINOR = 16;
const IFINDEX = 7;
const STAY = {
  id: "a",
  ifindex: IFINDEX,
  minor: MINOR,
  fromMs: 0,
  untilMs: Number.POSITIVE_INFINITY,
};
const STEP_MS = 100;

/** Samples of a guest that gets so many bits per second both ways. */
function steady(bits: number, seconds = 2): Sample[] {
  return Array.from({ length: (seconds * 1000) / STEP_MS + 1 }, (_, i) => {
    const bytes = (bits / 8) * ((i * STEP_MS) / 1000);
    const counters = { uploads: new Map([[MINOR, bytes]]), downloads: new Map([[IFINDEX, bytes]]) };
    return { beforeMs: i * STEP_MS, afterMs: i * STEP_MS, ...counters };
  });
}

function spell(bits: number, fromMs = 0, untilMs = Number.POSITIVE_INFINITY): Spell {
  return { limits: { download: bits, upload: { rate: bits, ceil: bits } }, fromMs, untilMs };
}

describe("judge", () => {
  it("lets a guest have its limit, and the base limit when its own is lower", () => {
    expect(judge(steady(2_000_000), STAY, [spell(2_000_000)], BASE)).toMatchObject({
      excesses: [],
      highestShare: 1,
    });
    expect(judge(steady(BASE), STAY, [spell(400_000)], BASE).excesses).toEqual([]);
  });

  it("finds a guest with a tenth more, both ways", () => {
    const { excesses } = judge(steady(2_200_000), STAY, [spell(2_000_000)], BASE);
    expect(excesses.some((text) => text.includes("of upload"))).toBe(true);
    expect(excesses.some((text) => text.includes("of download"))).toBe(true);
  });

  it("does not excuse it by limits that are over", () => {
    const spells = [spell(4_000_000, 0, 500), spell(1_500_000, 500)];
    const { excesses } = judge(steady(3_000_000), STAY, spells, BASE);
    expect(excesses).not.toEqual([]);
    expect(judge(steady(3_000_000, 0.4), STAY, spells, BASE).excesses).toEqual([]);
  });

  it("looks at nothing before a guest's stay or after it", () => {
    const stay = { ...STAY, fromMs: 500, untilMs: 550 };
    expect(judge(steady(9_000_000), stay, [], BASE)).toMatchObject({ excesses: [], windows: 0 });
  });
});
