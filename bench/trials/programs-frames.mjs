// The frames that programs.mjs runs the programs on: a datagram of 64 bytes and a TCP segment of 1514, from the guest to
// its gateway and back. Checksums are complete, of whatever value: no program verifies them.

export const GUEST = { ip: 0x0a640002, mac: "02:00:0a:64:00:02" };
export const GATEWAY = { ip: 0x0a640001, mac: "02:00:0a:64:00:01" };

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const ETHERTYPE_IPV4 = 0x0800;
const KINDS = {
  datagram: { bytes: 64, protocol: 17, checksumAt: 6 },
  segment: { bytes: 1514, protocol: 6, checksumAt: 16 },
};
/** In 32-bit words: a TCP header without options. */
const TCP_DATA_OFFSET = 5;
const SOME_CHECKSUM = 0xbeef;

/**
 * @param {"upload" | "download"} direction
 * @param {keyof typeof KINDS} kind
 */
export function frame(direction, kind) {
  const [from, to] = direction === "upload" ? [GUEST, GATEWAY] : [GATEWAY, GUEST];
  const { bytes, protocol, checksumAt } = KINDS[kind];
  const buffer = Buffer.alloc(bytes);
  buffer.write((to.mac + from.mac).replaceAll(":", ""), "hex");
  buffer.writeUInt16BE(ETHERTYPE_IPV4, 12);
  const ip = buffer.subarray(ETHERNET_BYTES);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(ip.length, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(protocol, 9);
  ip.writeUInt32BE(from.ip, 12);
  ip.writeUInt32BE(to.ip, 16);
  const transport = ip.subarray(IPV4_BYTES);
  transport.writeUInt16BE(40_000, 0);
  transport.writeUInt16BE(443, 2);
  if (kind === "datagram") transport.writeUInt16BE(transport.length, 4);
  else transport.writeUInt8(TCP_DATA_OFFSET << 4, 12);
  transport.writeUInt16BE(SOME_CHECKSUM, checksumAt);
  return buffer;
}
