// How guests share the network's upload capacity: by their rates when all send, up to their ceils
// when alone.

import { it } from "vitest";
import { measureTcp } from "../../dist/stand-in/traffic.js";
import { openForTest, testOptions } from "../support/network.js";
import { expectShares, MBIT, plugIn, shareOf } from "../support/traffic-network.js";

const TOLERANCE = 0.1;
const GATEWAY = "10.100.0.1";

it("divides 40 mbit 1:3 between 10 and 30 mbit, and gives either its ceil when alone", async () => {
  const network = await openForTest(testOptions({ uploadCapacity: "40mbit" }));
  const fork = async (id: string, rate: number, ceil: number) =>
    plugIn(
      await network.createAllocation({
        instanceId: id,
        instanceName: id,
        upload: { rate: rate * MBIT, ceil: ceil * MBIT },
      }),
    );
  // One ceil under the capacity and one that is as much.
  const small = await fork("small", 10, 25);
  const large = await fork("large", 30, 40);
  const time = { hostIp: GATEWAY, direction: "upload", seconds: 3, warmUpSeconds: 1 } as const;

  await expectShares(async () => {
    const both = [
      measureTcp({ guest: small, ...time }),
      measureTcp({ guest: large, ...time }),
    ] as const;
    const [ofSmall, ofLarge] = await Promise.all(both);
    return {
      "small beside large": shareOf(10 * MBIT, ofSmall),
      "large beside small": shareOf(30 * MBIT, ofLarge),
      "large : small": ofLarge.bitsPerSecond / ofSmall.bitsPerSecond / 3,
    };
  }, TOLERANCE);
  await expectShares(async () => {
    const ofSmall = await measureTcp({ guest: small, ...time });
    const ofLarge = await measureTcp({ guest: large, ...time });
    return {
      "small alone": shareOf(25 * MBIT, ofSmall),
      "large alone": shareOf(40 * MBIT, ofLarge),
    };
  }, TOLERANCE);
});
