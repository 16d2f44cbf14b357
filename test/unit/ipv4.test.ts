// Addresses and subnets as text: one canonical form is read, everything else is refused.

import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import {
  contains,
  formatIpv4,
  formatMac,
  macOf,
  parseIpv4,
  parseMac,
  parseSubnet,
} from "../../src/identity/ipv4.js";

const address = fc.nat(0xffffffff);
const config = (message: string) =>
  expect.objectContaining({
    code: "ERR_FORKNET_CONFIG",
    message: expect.stringContaining(message),
  });

describe("IPv4 addresses", () => {
  test.prop([address])("are read back as they were", (ip) => {
    expect(parseIpv4(formatIpv4(ip), "ip")).toBe(ip);
  });

  test.prop([fc.ipV4()])("are written as they were read", (text) => {
    expect(formatIpv4(parseIpv4(text, "ip"))).toBe(text);
  });

  test.each([
    "10.0.0",
    "10.1",
    "1",
    "010.0.0.1",
    "10.00.0.1",
    "10.0.0.01",
    "256.0.0.1",
    "10.0.0.256",
    "10.0.0.1 ",
    " 10.0.0.1",
    "10.0.0.1\n",
    "10..0.1",
    "10.0.0.1.2",
    "0x0a.0.0.1",
    "-1.0.0.1",
    "1e1.0.0.1",
    "::1",
    "::ffff:10.0.0.1",
    "10.0.0.1/24",
    "",
    167772161,
    null,
    undefined,
    {},
    ["10.0.0.1"],
  ])("are refused as %o", (text) => {
    expect(() => parseIpv4(text, "ip")).toThrow(
      config('Expected an IPv4 address like "10.100.0.7" for ip, but received '),
    );
  });
});

describe("MAC addresses", () => {
  const unicast = fc
    .integer({ min: 1, max: 2 ** 48 - 1 })
    .filter((mac) => (Math.floor(mac / 2 ** 40) & 1) === 0);

  test.prop([unicast])("are read back as they were, in either case", (mac) => {
    expect(parseMac(formatMac(mac), "mac")).toBe(mac);
    expect(parseMac(formatMac(mac).toUpperCase(), "mac")).toBe(mac);
  });

  test.each([
    "02-00-0a-00-00-01",
    "2:0:a:0:0:1",
    "02000a000001",
    "02:00:0a:00:00",
    "02:00:0a:00:00:01:02",
    "02:00:0a:00:00:0g",
    "",
    1,
    null,
  ])("are refused as %o", (text) => {
    expect(() => parseMac(text, "mac")).toThrow(
      config('Expected a MAC address like "02:00:0a:64:00:07" for mac, but received '),
    );
  });

  test.each(["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])(
    "are refused as %s, which no host has",
    (text) => {
      expect(() => parseMac(text, "mac")).toThrow(
        config(`Expected a unicast MAC address for mac, but received '${text}'`),
      );
    },
  );

  test.prop([address])("derived from an address hold it, and are local and unicast", (ip) => {
    const text = formatMac(macOf(ip));
    expect(text).toMatch(/^02:00:/);
    expect(Number.parseInt(text.slice(6).replaceAll(":", ""), 16)).toBe(ip);
    expect(parseMac(text, "mac")).toBe(macOf(ip));
  });
});

describe("subnets", () => {
  test.prop([address, fc.integer({ min: 8, max: 29 })])(
    "from /8 to /29 have their edges where they belong",
    (ip, prefixLength) => {
      const size = 2 ** (32 - prefixLength);
      const network = Math.floor(ip / size) * size;
      const subnet = parseSubnet(`${formatIpv4(network)}/${prefixLength}`, undefined);
      expect(subnet).toMatchObject({
        network,
        prefixLength,
        broadcast: network + size - 1,
        gateway: network + 1,
      });
      expect(subnet.mask).toBe(2 ** 32 - size);
      expect(contains(subnet, ip)).toBe(true);
      expect(contains(subnet, network)).toBe(true);
      if (network > 0) expect(contains(subnet, network - 1)).toBe(false);
      if (network + size < 2 ** 32) expect(contains(subnet, network + size)).toBe(false);
    },
  );

  test.each([
    "10.0.0.0/7",
    "10.0.0.0/30",
    "10.0.0.0/31",
    "10.0.0.0/32",
    "10.0.0.0/0",
    "10.0.0.0/024",
    "10.0.0.0/08",
    "10.0.0.0",
    "10.0.0.0/",
    "/24",
    "10.0.0/24",
    "010.0.0.0/24",
    "10.0.0.0/24 ",
    "10.0.0.0/-8",
    "fd00::/64",
    "",
    null,
    8,
    {},
  ])("are refused as %o", (cidr) => {
    expect(() => parseSubnet(cidr, undefined)).toThrow(config(" for subnet, but received "));
  });

  test("are refused with host bits, naming the network", () => {
    expect(() => parseSubnet("10.100.3.4/16", undefined)).toThrow(
      config("without host bits (10.100.0.0/16) for subnet"),
    );
  });

  test("take any usable address as the gateway", () => {
    expect(parseSubnet("10.0.0.0/29", "10.0.0.6").gateway).toBe(0x0a000006);
  });

  test.each(["10.0.0.0", "10.0.0.7", "10.0.0.8", "9.255.255.255", "11.0.0.1"])(
    "refuse %s as the gateway of 10.0.0.0/29",
    (gateway) => {
      const message = `Expected a usable address inside 10.0.0.0/29 for gateway, but received '${gateway}'`;
      expect(() => parseSubnet("10.0.0.0/29", gateway)).toThrow(config(message));
    },
  );

  test("refuse a gateway that is no address", () => {
    expect(() => parseSubnet("10.0.0.0/29", "gw")).toThrow(
      config('an IPv4 address like "10.100.0.7" for gateway'),
    );
  });
});
