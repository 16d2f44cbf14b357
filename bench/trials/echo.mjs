// UDP round trips through a stand-in guest, one after the other over one socket: what its limits add to the latency.

import { createSocket } from "node:dgram";
import { once } from "node:events";

const LOST_MS = 500;
/** The first ones meet cold caches and unresolved neighbours. */
const WARM_UPS = 400;

/**
 * @param {import("../../dist/stand-in/guest.js").Guest} guest
 * @param {string} ip where the host reaches it
 * @param {number} count
 * @returns {Promise<{ us: number[], lost: number }>}
 */
export async function measureEcho(guest, ip, count) {
  const service = await guest.listenUdp({ echo: true });
  const socket = createSocket("udp4");
  socket.bind(0);
  await once(socket, "listening");
  const us = [];
  let lost = 0;
  for (let i = 0; i < WARM_UPS + count; i++) {
    const payload = `round trip ${i}`;
    const startMs = performance.now();
    const isAnswered = await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), LOST_MS);
      socket.once("message", () => {
        clearTimeout(timer);
        resolve(true);
      });
      socket.send(payload, service.port, ip);
    });
    if (i < WARM_UPS) continue;
    if (isAnswered) us.push((performance.now() - startMs) * 1000);
    else lost += 1;
  }
  socket.close();
  await service.close();
  return { us, lost };
}
